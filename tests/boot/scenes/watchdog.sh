#!/bin/bash
# A daemon that stands still is found by systemd's watchdog, killed and started again; runs go on.
. /agentd/boot/lib.sh
serve
need_units

mkdir -p /run/systemd/system/agentd.service.d
printf '[Service]\nWatchdogSec=4s\n' >/run/systemd/system/agentd.service.d/scene.conf
systemctl daemon-reload
check "with a shorter watchdog it starts again" systemctl restart agentd.service
enrol alice sleeper sleep 600
work=$(submit alice sleeper)
await "a run works" 60 is alice "$work" running
await "its program lives" 30 pgrep -fx 'sleep 600'
pid=$(pids 'sleep 600')
# Fed while it works: longer than the watchdog waits, and nothing happens.
daemon=$(prop agentd.service MainPID)
sleep 6
equal "a daemon that works is left alone" "$daemon" "$(prop agentd.service MainPID)"
kill -STOP "$daemon"
restarted() { [ "$(prop agentd.service NRestarts)" -ge 1 ] && active agentd.service && [ "$(prop agentd.service MainPID)" != "$daemon" ]; }
wait_until "one that stands still is killed and started again" 60 restarted
says "by its watchdog" 'Watchdog timeout' journalctl -q -u agentd.service -o cat
refute "the old one is gone" kill -0 "$daemon"
equal "the run goes on" "$pid" "$(pids 'sleep 600')"
wait_until "and is known to work" 30 is alice "$work" running
check "the ledger verifies" verified
end
