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
check "the ledger verifies" verified
end
