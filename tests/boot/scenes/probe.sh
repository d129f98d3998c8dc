#!/bin/bash
# The same attempts by an agent's program that agentd starts, at the level that this host can do: none gets out.
. /agentd/boot/lib.sh
. "$here/outside.sh"
serve
touch /usr/local/bin/escape-probe
chmod 755 /usr/local/bin/escape-probe
mount --bind "$bin/escape-probe" /usr/local/bin/escape-probe
install -d -m 777 /workspace # as it is named inside, for the control
lay_outside /workspace
control

python3 -c 'import json, sys
json.dump({"name": "probe", "command": ["/usr/local/bin/escape-probe", *sys.argv[4:]], "program": {"stdin": "nothing"},
    "resources": {"memory_max": sys.argv[1], "tasks_max": int(sys.argv[2]), "workspace_max": sys.argv[3]}}, sys.stdout)' \
    256M "$tasks" "$((file >> 20))M" "${arguments[@]}" >/home/alice/probe.json
check "the probe is enrolled as an agent" ctl alice agent enroll --file /home/alice/probe.json
work=$(submit alice probe)
over() { is alice "$work" completed || is alice "$work" failed; }
await "its run is over" 120 over
ctl alice work output "$work" >/tmp/inside 2>/tmp/inside.err
equal "it made every attempt" "$(told /tmp/bare | cut -d' ' -f1)" "$(told /tmp/inside | cut -d' ' -f1)"
reached() { ctl alice work show "$1" --json | json 'it["runs"][0]["confinement"]["level"]'; }
equal "its level is that of this host" "$(level)" "$(reached "$work")"
wrong=$(grep '"outcome":"escaped"' /tmp/inside)
equal "none gets out" '' "$wrong"
refute "and the host sees nothing of it" test -e "/dev/shm/agentd-probe-$mark"

# What is asked for and cannot be held is refused, and not run with less.
sed -i 's/^\[runs\]$/&\nleast_level = "unit"/' /etc/agentd/agentd.toml
check "root asks for units at least" systemctl restart "$unit"
enrol alice quick sh -c 'echo "\"done\""'
work=$(submit alice quick)
if [ "$(level)" = unit ]; then
    wait_until "where limits of units hold a work is done" 60 is alice "$work" completed
    equal "in one" unit "$(reached "$work")"
else
    refused() { ctl alice why "$work" | grep -q 'asks for a sandbox of level unit, and this host can do strict at best'; }
    wait_until "where limits of units do not hold a work is told so" 60 refused
    equal "and nothing of it began" '[0, 0]' "$(ctl alice work show "$work" --json | json '[it["attempts"], len(it["runs"])]')"
    check "root takes it back" sed -i '/^least_level/d' /etc/agentd/agentd.toml
    check "and says so" systemctl restart "$unit"
    wait_until "then it is done" 60 is alice "$work" completed
fi
echo "escapes: $(tail -n 1 /tmp/bare) without a sandbox, $(tail -n 1 /tmp/inside) inside"
end
