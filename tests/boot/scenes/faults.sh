#!/bin/bash
# What agentd rests on goes away and comes back: the bus, polkit, the journal. Runs go on, and callers are told.
. /agentd/boot/lib.sh
serve

enrol alice sleeper sleep 600
work=$(submit alice sleeper)
await "a run works" 60 is alice "$work" running
await "its program lives" 20 pgrep -fx 'sleep 600'
pid=$(pids 'sleep 600')
enrol alice quick sh -c 'echo "\"done\""'
near() { as_user alice agentctl --address /run/agentd/control.sock "$@"; }

check "the journal restarts" systemctl restart systemd-journald.service
check "agentd answers" ctl alice status

systemctl --runtime mask --now --quiet polkit.service
says "without polkit an operator is told why not" polkit ctl olga freeze --all --reason "may I"
check "what needs no operator goes on" ctl alice submit "while polkit is away" -q
check "and root needs no polkit" ctl root freeze --all --reason scene
check "nor to thaw" ctl root thaw --all
systemctl --runtime unmask --quiet polkit.service

check "the bus restarts" systemctl restart dbus.service
wait_until "agentd answers at its own socket" 30 near status
wait_until "and has its name on the bus again" 60 ctl alice status
equal "the run goes on" "$pid" "$(pids 'sleep 600')"
wait_until "and is known to work" 30 is alice "$work" running

check "the bus goes away" systemctl stop dbus.socket dbus.service
wait_until "agentd answers at its own socket without it" 30 near status
silent "and does not say that all is well" '"health":["ok"]' near status --json
equal "the run goes on, without a bus" "$pid" "$(pids 'sleep 600')"

# Units are asked for on the bus: who submits meanwhile waits for it, and loses nothing by that.
quick=$(near submit "while the bus is away" --agent quick --max-attempts 1 -q) || no "a work is submitted while the bus is away" "$quick"
# why_says TEXT…: all of it is in what is told of the work.
why_says() {
    local said text
    said=$(near why "$quick" 2>&1)
    for text; do [[ $said == *"$text"* ]] || { echo "$said"; return 1; }; done
}
wait_until "why says what is missing, and where to look" 90 why_says bus 'systemctl status'
says "status does too" 'system bus' near status
equal "nothing of it began" '[]' "$(near work show "$quick" --json | json '[run for run in it["runs"] if run.get("confinement") or run.get("program")]')"
check "the bus comes back" systemctl start dbus.socket dbus.service
wait_until "and agentd has its name" 60 ctl alice status
wait_until "the work is done" 90 is alice "$quick" completed
says "at its one attempt: the claim before it does not count" 'no attempt used up' ctl alice log "$quick"
says "and all is well again" '"health":["ok"]' ctl root status --json
check "the run is called off" ctl alice cancel "$work" --reason "enough"
wait_until "and over" 30 sh -c "! kill -0 $pid"
check "the ledger verifies" verified
end
