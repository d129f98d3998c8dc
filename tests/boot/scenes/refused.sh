#!/bin/bash
# A systemd that knows less than units of runs ask for: which property it is, is told, and works wait or do without.
. /agentd/boot/lib.sh
serve
need_units
install -m 644 "$here/proxy.py" /tmp/proxy.py
# knows_no WORD…: from now on the launcher's systemd does not know these properties. The daemon comes to know it anew.
knows_no() {
    local folder=/run/systemd/system/agentd-launch.service.d
    [ -z "${proxy:-}" ] || kill "$proxy"
    rm -rf /srv/bus "$folder"
    mkdir -p /srv/bus "$folder"
    python3 /tmp/proxy.py /srv/bus/socket /run/dbus/system_bus_socket "$@" >/srv/bus/said &
    proxy=$!
    await "a bus is between launcher and systemd" 20 grep -q listening /srv/bus/said
    printf '[Service]\nBindReadOnlyPaths=/srv/bus/socket:/run/dbus/system_bus_socket\n' >$folder/bus.conf
    systemctl daemon-reload
    check "the launcher and the daemon are started anew" systemctl restart agentd-launch.service agentd.service
}
enrol alice quick sh -c 'echo "\"done\""'

knows_no
work=$(submit alice quick)
wait_until "the control: a bus between them changes nothing" 60 is alice "$work" completed
silent "and nothing is left out" 'does not go to the journal' journalctl -q -u agentd-launch.service -o cat

knows_no LogNamespace
work=$(submit alice quick)
wait_until "without a property that runs can do without, one is done" 60 is alice "$work" completed
says "and what it goes without is told, and by which property" 'LogNamespacX' journalctl -q -u agentd-launch.service -o cat

knows_no ProtectClock
work=$(submit alice quick)
told() { [[ $(ctl alice why "$work") == *ProtectClocX* ]]; }
wait_until "without one of the sandbox it waits, and is told which" 60 told
says "status says it too" 'ProtectClocX' ctl alice status
equal "and nothing of it began" '[0, 0]' "$(ctl alice work show "$work" --json | json '[it["attempts"], len(it["runs"])]')"
kill "$proxy"
rm -r /run/systemd/system/agentd-launch.service.d
systemctl daemon-reload
check "another launcher" systemctl restart agentd-launch.service
wait_until "whose systemd knows it has it done, though nobody told the daemon" 90 is alice "$work" completed
equal "at its first attempt" 1 "$(ctl alice work show "$work" --json | json 'it["attempts"]')"
check "the ledger verifies" verified
end
