#!/bin/bash
# A freeze stands: what is frozen gets no processor, whoever asks is told how many stand still, and a thaw lets all go on.
. /agentd/boot/lib.sh
serve

enrol alice spinner sh -c 'while :; do :; done # spins'
work=$(submit alice spinner)
await "a run works" 60 is alice "$work" running
pattern='sh -c while :; do :; done # spins'
await "its program lives" 60 pgrep -fx "$pattern"
pid=$(pids "$pattern")
# moves PID, still PID: whether it gets processor time.
moves() { local before; before=$(ticks "$1"); sleep .3; [ "$(ticks "$1")" != "$before" ]; }
still() { ! moves "$1"; }
confirmed() {
    local report
    report=$(call alice Host FreezeReport s "{\"work\":\"$work\"}" | json 'it["data"][0]')
    [ "$(json 'it["runs"]' <<<"$report")" = 1 ] && [ "$(json 'it["confirmed"]' <<<"$report")" = 1 ]
}
wait_until "and spins" 20 moves "$pid"

refute "bob freezes nothing of alice's" ctl bob freeze "$work" --reason "may I"
check "alice freezes her work" ctl alice freeze "$work" --reason "a look at it"
wait_until "all its runs are confirmed to stand still" 20 confirmed
refute "it gets no processor" moves "$pid"
check "which the daemon knows after a restart too" systemctl restart "$unit"
refute "and it still gets none" moves "$pid"
check "alice thaws it" ctl alice thaw "$work"
wait_until "the same process spins on" 20 moves "$pid"
equal "in the same run" 1 "$(ctl alice work show "$work" --json | json 'len(it["runs"])')"

check "the operator freezes the host" ctl root freeze --all --reason "3 a.m."
wait_until "the run stands still" 20 still "$pid"
other=$(ctl bob submit "not now" -q)
says "who submits meanwhile is told why nothing begins" frozen ctl bob why "$other"
check "a frozen run can be ended" ctl alice cancel "$work" --reason "enough"
wait_until "and is" 30 sh -c "! kill -0 $pid"
check "the operator thaws the host" ctl root thaw --all
check "the ledger verifies" verified
end
