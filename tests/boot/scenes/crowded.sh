#!/bin/bash
# One user fills the system bus: that user is told so, and everybody else is served as before.
. /agentd/boot/lib.sh
serve
enrol bob quick sh -c 'echo "\"done\""'
check "alice is served" ctl alice status
install -m 644 "$here/crowd.py" /tmp/crowd.py
as_user alice python3 /tmp/crowd.py /run/dbus/system_bus_socket >/tmp/crowd &
crowd=$!
await "alice has as many connections as the bus gives one user" 60 grep -q connections /tmp/crowd
echo "$(cat /tmp/crowd)"
says "she is told what is full" 'maximum number of active connections' ctl alice status
says "and the way out" '--address /run/agentd/control.sock' ctl alice status
refute "and gets no answer there" ctl alice status
check "agentd answers her at its own socket" as_user alice agentctl --address /run/agentd/control.sock status
work=$(submit bob quick)
wait_until "bob's work is done" 60 is bob "$work" completed
check "agentd lives" active "$unit"
says "and all is well with it" '"health":["ok"]' ctl root status --json
kill "$crowd"
let_go() { local pid; for pid in $(pids 'python3 /tmp/crowd.py /run/dbus/system_bus_socket'); do kill "$pid"; done; }
let_go
wait_until "when she lets go, she is served again" 30 ctl alice status
check "the ledger verifies" verified
end
