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
echo "level: $(ctl alice work show "$work" --json | json 'it["runs"][0].get("confinement")')"
wrong=$(grep '"outcome":"escaped"' /tmp/inside)
equal "none gets out" '' "$wrong"
refute "and the host sees nothing of it" test -e "/dev/shm/agentd-probe-$mark"
echo "escapes: $(tail -n 1 /tmp/bare) without a sandbox, $(tail -n 1 /tmp/inside) inside"
end
