#!/bin/bash
# The launcher dies: what runs goes on, the next run gets a new one; without any, who waits is told.
. /agentd/boot/lib.sh
serve
need_units

enrol alice first sleep 600
enrol alice second sleep 601
enrol alice third sleep 602
first=$(submit alice first)
await "a run works" 60 is alice "$first" running
await "its program lives" 30 pgrep -fx 'sleep 600'
pid=$(pids 'sleep 600')
before=$(prop agentd-launch.service MainPID)
systemctl kill --signal=KILL agentd-launch.service 2>/dev/null
wait_until "the launcher is dead" 20 sh -c "[ $before = 0 ] || [ ! -d /proc/$before ]"
equal "the run goes on" "$pid" "$(pids 'sleep 600')"
second=$(submit alice second)
wait_until "the next one begins, by a new launcher" 60 is alice "$second" running

check "the launcher is taken away" systemctl stop agentd-launch.socket agentd-launch.service
third=$(submit alice third)
told() { ctl alice why "$third" | grep -qi launch; }
wait_until "who waits is told why" 60 told
refute "and no attempt is used up" is alice "$third" failed
check "the launcher comes back" systemctl start agentd-launch.socket
wait_until "and the run begins" 120 is alice "$third" running
equal "at its first attempt" 1 "$(ctl alice work show "$third" --json | json 'len(it["runs"])')"
equal "the first goes on" "$pid" "$(pids 'sleep 600')"

# What systemd itself says of the unit of a living run, in tenths: it counts what bubblewrap needs, and the homes that an empty root has not.
exposure=$(systemd-analyze security --no-pager "$(run_unit "$first")" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\) .*/\1/p')
if [ -n "$exposure" ] && [ "$(tr -d . <<<"$exposure")" -le 40 ]; then ok "the exposure of a run is $exposure"; else no "the exposure of a run is at most 4.0" "$exposure"; fi

# It is asked to end while it starts runs: it finishes them, and who comes meanwhile waits for the next one.
check "the third is called off, for there is room for few" ctl alice cancel "$third" --reason enough
wait_until "and over" 30 is alice "$third" cancelled
# ended_of WORK: whether a program of it ended.
ended_of() { [ "$(ctl bob work show "$1" --json | json 'bool(it["runs"] and it["runs"][-1].get("program"))')" = true ]; }
works=()
for number in 1 2 3; do enrol bob "many-$number" true; done
for number in 1 2 3; do
    works+=("$(submit bob "many-$number")")
    check "the launcher is restarted" systemctl restart agentd-launch.service
done
for work in "${works[@]}"; do
    wait_until "the program of $work ended" 60 ended_of "$work"
    equal "at its first attempt" 1 "$(ctl bob work show "$work" --json | json 'len(it["runs"])')"
done

# A unit that systemd takes and then cannot make is told at once, with what systemd knows of it.
mkdir -p /run/systemd/system/agentd-run-.service.d
printf '[Service]\nBindPaths=/nowhere-at-all\n' >/run/systemd/system/agentd-run-.service.d/broken.conf
systemctl daemon-reload
enrol alice broken sleep 800
broken=$(submit alice broken)
wait_until "a run whose unit cannot be made fails" 30 is alice "$broken" failed
says "for systemd's reason" 'exit code 226' ctl alice log "$broken"
rm -r /run/systemd/system/agentd-run-.service.d
systemctl daemon-reload

# With shim and daemon dead, systemd ends the rest of a run.
check "the daemon is put out of the way" systemctl stop agentd.service agentd.socket agentd-agents.socket agentd-metrics.socket
shim=$(prop "$(run_unit "$second")" MainPID)
equal "the shim is the unit's own process" agentd-shim "$(cat "/proc/$shim/comm")"
kill -KILL "$shim"
wait_until "the shim of a run is killed, and its program ends" 20 sh -c '! pgrep -fx "sleep 601"'
equal "the first goes on" "$pid" "$(pids 'sleep 600')"

# It ends when nobody asks, and its socket starts it anew.
mkdir -p /etc/systemd/system/agentd-launch.service.d
printf '[Service]\nExecStart=\nExecStart=/usr/libexec/agentd/agentd-launch serve --runs /var/lib/agentd/runs --caller _agentd --idle 1\n' >/etc/systemd/system/agentd-launch.service.d/idle.conf
systemctl daemon-reload
systemctl restart agentd-launch.service
wait_until "a launcher whom nobody asks ends" 20 sh -c '[ "$(systemctl show --value -p ActiveState agentd-launch.service)" = inactive ]'
equal "and all is well" success "$(prop agentd-launch.service Result)"
check "its socket listens" active agentd-launch.socket
check "the daemon is back" systemctl start agentd.socket agentd.service
wait_until "and asks a new one" 30 active agentd-launch.service
check "the ledger verifies" verified
end
