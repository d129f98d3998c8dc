#!/bin/bash
# The launcher dies, is restarted and is away while runs are being started: each begins once, and no attempt is used up by that.
# One that nobody asks for anything ends, and the daemon does not wake it.
. /agentd/boot/lib.sh
serve
need_units
# It is killed more often than systemd starts a service by itself.
mkdir -p /etc/systemd/system/agentd-launch.service.d
printf '[Unit]\nStartLimitIntervalSec=0\n' >/etc/systemd/system/agentd-launch.service.d/scene.conf
systemctl daemon-reload

# Says how often its program began: the home stays where it is.
for n in 1 2 3 4; do enrol alice "quick-$n" sh -c 'echo x >>"$HOME/starts"; grep -c x "$HOME/starts"'; done
as_user alice sh -c 'git init -q -b main repo && cd repo && git config user.name A && git config user.email a@localhost &&
    echo bad >value && git add -A && git commit -q -m start'
enrol alice repairer sh -c 'echo good >value; echo repaired'
work_on() { as_user alice sh -c "cd repo && agentctl --address system submit 'repair it' --agent repairer --max-attempts 1 --repo . --accept 'grep -q good value' -q"; }
works=()
for round in 1 2 3 4 5; do
    for n in 1 2 3 4; do works+=("$(submit alice "quick-$n")"); done
    works+=("$(work_on)")
done
over() { for work in "${works[@]}"; do is alice "$work" completed || is alice "$work" failed || return 1; done; }
claimed() { [ "$(ctl alice work show "$1" --json | json 'len(it["runs"])')" = 1 ]; }
again() { journalctl -q -u "$unit" -o cat | grep -c 'did not begin, and is asked for again'; }
deaths() {
    for n in $(seq 40); do
        [ ! -e /tmp/enough ] || break
        if [ $((n % 3)) = 2 ]; then systemctl restart agentd-launch.service; else systemctl kill --signal=KILL agentd-launch.service; fi
        sleep "$((n % 2)).$((RANDOM % 7 + 2))"
    done
}
deaths 2>/dev/null &
wait_until "all works are over, though the launcher dies all the time" 240 over
touch /tmp/enough
wait
# One start at least is in the middle, however fast the machine is: a new launcher waits for a bus that stands still, and dies.
near() { as_user alice agentctl --address /run/agentd/control.sock "$@"; }
near_claimed() { [ "$(near work show "$1" --json | json 'len(it["runs"])')" = 1 ]; }
if [ "$(again)" = 0 ]; then
    bus=$(prop dbus.service MainPID)
    systemctl stop agentd-launch.service
    kill -STOP "$bus"
    work=$(near submit "while the bus stands still" --agent quick-1 --max-attempts 1 -q)
    works+=("$work")
    wait_until "$work is claimed" 30 near_claimed "$work"
    wait_until "a launcher starts it" 30 active agentd-launch.service
    systemctl kill --signal=KILL agentd-launch.service
    kill -CONT "$bus"
    await "and it is over, by another one" 60 over
fi
for work in "${works[@]}"; do
    shown=$(ctl alice work show "$work" --json)
    said=$(json '(it["state"], len(it["runs"]), str(it["runs"][0].get("result")))' <<<"$shown")
    case $said in
        '["completed", 1, "1"]' | '["completed", 1, "repaired"]') ;;
        *) no "$work is done at its first attempt, and began once" "$said"$'\n'"$(ctl alice log "$work")" ;;
    esac
done
ok "each at its first attempt, and begun once, or is told above"
if [ "$(again)" -gt 0 ]; then ok "starts were in the middle when it died: $(again) were asked for again"; else no "starts were in the middle when it died" "none"; fi
equal "what was put aside never began" '' "$(find /var/lib/agentd/runs -path '*/.*/stdout')"

# It goes away for good in the middle of a start.
printf '[Service]\nExecStart=\nExecStart=/bin/sleep 600\n' >/etc/systemd/system/agentd-launch.service.d/deaf.conf
systemctl daemon-reload
systemctl stop agentd-launch.service
enrol alice patient sh -c 'echo "\"begun\""'
work=$(submit alice patient)
await "a start is asked for, of one who hears nothing" 60 claimed "$work"
systemctl stop agentd-launch.socket agentd-launch.service
given_back() { is alice "$work" ready; }
await "the claim is given back when it stays away" 90 given_back
says "no attempt is used up by that" 'lease void, no attempt used up: launcher away' ctl alice log "$work"
says "why it waits is told, and what helps" 'systemctl status agentd-launch.socket' ctl alice why "$work"
says "by status too" 'systemctl status agentd-launch.socket' ctl alice status
rm /etc/systemd/system/agentd-launch.service.d/deaf.conf
systemctl daemon-reload
check "the launcher comes back" systemctl start agentd-launch.socket
wait_until "and the work is done, though it may have one attempt alone" 120 is alice "$work" completed
silent "and nobody complains any more" 'agentd-launch' ctl alice status

# Nothing is asked for: it is not woken.
check "a work is for later" ctl alice submit "for later" --agent patient --not-before 1h -q
await "the launcher is asleep" 30 sh -c 'systemctl stop agentd-launch.service; sleep 2; ! systemctl --quiet is-active agentd-launch.service'
asleep() { ! active agentd-launch.service; }
for second in $(seq 18); do asleep || break; sleep 1; done
if asleep; then ok "an idle daemon leaves it asleep for more than one of its rounds"; else no "an idle daemon leaves it asleep" "$(systemctl status agentd-launch.service)"; fi
work=$(submit alice patient)
wait_until "and wakes it for a work" 60 is alice "$work" completed
check "the ledger verifies" verified
end
