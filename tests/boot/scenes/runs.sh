#!/bin/bash
# A person's agent is started by the agentd of the host, and its result comes back: with what the host has of sandboxes.
. /agentd/boot/lib.sh
serve

enrol alice counter sh -c 'echo "\"counted by uid $(id -u)\""'
work=$(submit alice counter)
await "alice's work is completed" 60 is alice "$work" completed
uid=$(ctl alice work show "$work" --json | grep -o 'counted by uid [0-9]*' | grep -o '[0-9]*$' | head -n 1)
if [ "${uid:-0}" -gt 60000 ]; then ok "by a user of its own, $uid"; else no "by a user of its own" "uid ${uid:-unknown}"; fi
silent "bob sees nothing of it" "$work" ctl bob work list
says "the ledger names the agent" 'completed by counter' ctl alice log "$work"

enrol alice sleeper sleep 600
work=$(submit alice sleeper)
await "a run works" 60 is alice "$work" running
refute "which bob cannot end" ctl bob cancel "$work" --reason "not mine"
check "and an operator can" ctl root cancel "$work" --reason "enough"
wait_until "and it is over" 60 is alice "$work" cancelled
wait_until "with all its processes" 20 sh -c '! pgrep -x sleep'
check "the ledger verifies" verified
end
