#!/bin/bash
# The daemon is restarted, killed and gone for a while, while runs work: none stops, none is lost, none is started twice.
. /agentd/boot/lib.sh
serve
stopped=$unit
[ "$unit" != agentd.service ] || stopped="agentd.service agentd.socket agentd-agents.socket" # or the next caller starts it

works=()
for n in 1 2 3; do
    enrol alice "worker-$n" sleep "60$n"
    works+=("$(submit alice "worker-$n")")
done
for work in "${works[@]}"; do await "$work works" 60 is alice "$work" running; done
all_there() { [ "$(pids 'sleep 60[123]' | wc -w)" = 3 ]; }
await "three programs live" 60 all_there
before=$(pids 'sleep 60[123]')

same_runs() {
    equal "$1: the same three processes" "$before" "$(pids 'sleep 60[123]')"
    for work in "${works[@]}"; do wait_until "$1: $work works" 30 is alice "$work" running; done
}
for round in first second; do
    check "a $round restart" systemctl restart "$unit"
    same_runs "after the $round restart"
done
daemon=$(prop "$unit" MainPID)
kill -KILL "$daemon"
wait_until "a killed daemon is gone" 20 sh -c "! kill -0 $daemon"
systemctl reset-failed "$unit"
check "and starts again" systemctl start "$unit"
same_runs "after the kill"

# What ends while nobody looks is not lost.
enrol bob late sh -c 'sleep 3; echo "\"done while nobody looked\""'
late=$(submit bob late)
await "bob's run works" 60 is bob "$late" running
check "the daemon stops" systemctl stop $stopped
equal "runs do not" "$before" "$(pids 'sleep 60[123]')"
wait_until "bob's ends meanwhile" 30 sh -c '! pgrep -fx "sleep 3"'
check "the daemon starts" systemctl start "$unit"
wait_until "bob's result is there" 30 is bob "$late" completed
same_runs "after the pause"

for work in "${works[@]}"; do
    equal "$work was begun once" 1 "$(ctl alice work show "$work" --json | json 'len(it["runs"])')"
    check "$work is called off" ctl alice cancel "$work" --reason "enough"
done
wait_until "and all of them end" 30 sh -c '! pgrep -fx "sleep 60[123]"'
check "the ledger verifies" verified
end
