#!/bin/bash
# A run is a unit of its own: operators see it, its journal and its figures; what happens to it from outside is on record.
. /agentd/boot/lib.sh
serve
need_units

enrol alice sleeper sh -c 'echo going to sleep >&2; sleep 600'
work=$(submit alice sleeper)
run=$(run_unit "$work")
await "a run works" 60 is alice "$work" running
await "as the unit $run" 30 active "$run"
wait_until "the launcher has answered, and waits for nothing" 10 sh -c '! grep -q " 0001 03 .*/launch.sock" /proc/net/unix'
says "systemctl lists it" "$run" systemctl list-units --plain --no-legend 'agentd-run-*'
equal "in the slice of its agent" agentd-runs-sleeper.slice "$(prop "$run" Slice)"
says "systemd-cgtop and -cgls find it there" "/agentd.slice/agentd-runs.slice/agentd-runs-sleeper.slice/$run" prop "$run" ControlGroup
equal "it may gain no privilege" yes "$(prop "$run" NoNewPrivileges)"
pid=$(pids 'sleep 600')
says "and its program has none" $'CapPrm:\t0000000000000000' cat "/proc/$pid/status"
uid=$(stat -c %u "/proc/$pid")
if [ "$uid" -gt 60000 ]; then ok "its user is nobody else, $uid"; else no "its user is nobody else" "$uid"; fi
wait_until "the journal finds the agent's events" 20 sh -c "journalctl -q AGENT_ID=sleeper -o cat | grep -q ."
wait_until "and the work's" 20 sh -c "journalctl -q WORK_ID=$work -o cat | grep -q ."
refute "alice cannot stop it but through agentd" as_user alice systemctl stop "$run"

check "an operator of the host kills the unit" systemctl kill --signal=KILL "$run"
wait_until "the work has failed" 60 is alice "$work" failed
says "and the ledger says of what" 'signal 9' ctl alice log "$work"
wait_until "no process is left" 20 sh -c '! pgrep -fx "sleep 600"'

work=$(submit alice sleeper)
run=$(run_unit "$work")
await "another run works" 60 is alice "$work" running
await "as the unit $run" 30 active "$run"
check "an operator of the host stops the unit" systemctl stop "$run"
wait_until "the work has failed too" 60 is alice "$work" failed
refute "its result is not taken for one" grep -q '"outcome":"completed"' <(ctl alice work show "$work" --json)

work=$(submit alice sleeper)
run=$(run_unit "$work")
await "a third run works" 60 is alice "$work" running
check "alice calls it off" ctl alice cancel "$work" --reason "enough"
wait_until "its unit is gone, and none has failed" 30 sh -c "! systemctl list-units --all --plain --no-legend 'agentd-run-*' | grep -q ."

# Its shim is killed with all the rest of it: what it used its unit tells, where systemd counts that.
enrol alice busy sh -c 'while :; do :; done'
work=$(submit alice busy)
run=$(run_unit "$work")
await "a busy run works" 60 is alice "$work" running
await "as the unit $run" 30 active "$run"
counted=$(prop "$run" CPUUsageNSec)
has_worked() { [ "$(prop "$run" CPUUsageNSec)" -ge 500000000 ]; }
case $counted in '' | '[not set]' | 18446744073709551615) counted='' ;; *) await "it worked half a second" 60 has_worked ;; esac
check "all of it is killed" systemctl kill --signal=KILL "$run"
await "the work has failed" 60 is alice "$work" failed
if [ -z "$counted" ]; then ok "systemd counts no processor time here"
else
    used=$(ctl alice work show "$work" --json | json 'it["runs"][0]["program"]["usage"]["user_us"]')
    if [ "${used:-0}" -ge 500000 ]; then ok "its processor time is in the ledger, $used us"; else no "its processor time is in the ledger" "$used us"; fi
fi

# More memory than it has.
printf 'name = "greedy"\ncommand = ["sh", "-c", "head -c 400M /dev/zero | tail"]\n[resources]\nmemory_max = "64M"\n' >/home/alice/greedy.toml
check "one who takes too much is enrolled" ctl alice agent enroll --file /home/alice/greedy.toml
work=$(submit alice greedy)
await "it is over" 60 is alice "$work" failed
if [[ $(ctl alice work show "$work" --json | json 'it["runs"][0]["confinement"].get("lacking", [])') == *memory* ]]; then
    ok "this host holds no memory, and the run says so"
else
    says "the log tells of what" 'out of memory: the kernel killed a process of it' ctl alice log "$work"
    says "and why" 'its memory was used up' ctl alice why "$work"
fi
check "the ledger verifies" verified
end
