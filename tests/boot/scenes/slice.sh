#!/bin/bash
# With the daemon dead and the launcher too, `systemctl stop agentd-runs.slice` ends every run, and the daemon that comes back
# knows that they are over.
. /agentd/boot/lib.sh
serve
need_units

works=()
for n in 1 2 3; do
    enrol alice "worker-$n" sh -c "trap '' TERM; sleep 60$n & sleep 60$n; wait"
    works+=("$(submit alice "worker-$n")")
done
for work in "${works[@]}"; do await "$work works" 60 is alice "$work" running; done
all_there() { [ "$(pids 'sleep 60[123]' | wc -w)" -ge 6 ]; }
await "six processes live" 60 all_there
daemon=$(prop agentd.service MainPID)
systemctl stop agentd.socket agentd-agents.socket agentd-launch.socket
systemctl kill --signal=KILL agentd-launch.service 2>/dev/null
mkdir -p /run/systemd/system/agentd.service.d
printf '[Service]\nRestart=no\n' >/run/systemd/system/agentd.service.d/scene.conf
systemctl daemon-reload
kill -KILL "$daemon"
wait_until "the daemon is dead" 20 sh -c "! kill -0 $daemon"
check "the runs go on" all_there
check "systemctl stop agentd-runs.slice" timeout 120 systemctl stop agentd-runs.slice
equal "ends every one" '' "$(pids 'sleep 60[123]')"
equal "and every unit" '' "$(systemctl list-units --plain --no-legend --state=active 'agentd-run-*')"
rm /run/systemd/system/agentd.service.d/scene.conf
systemctl daemon-reload
systemctl reset-failed 'agentd*'
check "the daemon comes back" systemctl start agentd.socket agentd-agents.socket agentd-launch.socket agentd.service
for work in "${works[@]}"; do wait_until "$work is not taken for a living or a done one" 60 is alice "$work" failed; done
work=$(submit alice worker-1)
wait_until "and new ones begin" 60 is alice "$work" running
check "the ledger verifies" verified
end
