#!/bin/bash
# systemd itself is away for moments, over and over, while runs are being started: it executes itself anew, and reads its units anew.
# No attempt is used up by that, and nothing begins twice.
. /agentd/boot/lib.sh
serve
need_units

# Says how often its program began: the home stays where it is.
for n in 1 2 3 4; do enrol alice "quick-$n" sh -c 'echo x >>"$HOME/starts"; grep -c x "$HOME/starts"'; done
rm -f /tmp/enough
away() {
    local n=0
    while [ ! -e /tmp/enough ]; do
        n=$((n + 1))
        if [ $((n % 4)) = 0 ]; then systemctl daemon-reload; else systemctl daemon-reexec; fi
        echo "$n" >/tmp/times
        sleep "0.$((RANDOM % 4))"
    done
}
away 2>/dev/null &
works=()
for round in 1 2 3 4; do
    for n in 1 2 3 4; do works+=("$(submit alice "quick-$n")"); done
done
over() { for work in "${works[@]}"; do is alice "$work" completed || is alice "$work" failed || return 1; done; }
wait_until "all works are over, though systemd is away again and again" 150 over
touch /tmp/enough
wait
times=$(cat /tmp/times)
if [ "$times" -ge 5 ]; then ok "it was away $times times"; else no "it was away often enough to tell" "$times times"; fi
for work in "${works[@]}"; do
    shown=$(ctl alice work show "$work" --json)
    said=$(json '(it["state"], len(it["runs"]), str(it["runs"][0].get("result")))' <<<"$shown")
    if [ "$said" = '["completed", 1, "1"]' ]; then ok "$work is done at its first attempt, and began once"; else
        no "$work is done at its first attempt, and began once" "$said"$'\n'"$(ctl alice log "$work")"; fi
done
equal "no unit of agentd has failed" '' "$(systemctl list-units --failed --plain --no-legend 'agentd*')"
check "the ledger verifies" verified
end
