#!/bin/bash
# Names of agents that would break the name of a unit, or make one of two: each runs, in a slice of its own.
. /agentd/boot/lib.sh
serve

long=$(printf 'n%.0s' $(seq 63))
dashes=$(printf -- '-%.0s' $(seq 62))
names=(a-b a.b a_b a--b "$long" "${long}x" 0 "a${dashes}x" "a${dashes}y")
works=()
for name in "${names[@]}"; do
    enrol alice "$name" sleep 600
    work=$(submit alice "$name")
    works+=("$work")
    await "$name works" 60 is alice "$work" running
    if [ "$unit" = agentd.service ]; then
        run=$(run_unit "$work")
        wait_until "its unit is active" 20 active "$run"
        prop "$run" Slice >>/tmp/slices
        says "in a slice below agentd-runs.slice" agentd-runs.slice/ prop "$run" ControlGroup
        slice=$(prop "$run" Slice) escaped=$(systemd-escape "$name")
        if [ ${#escaped} -le 180 ]; then
            equal "which is of agents' names as systemd escapes them" "agentd-runs-$escaped.slice" "$slice"
        elif [ ${#slice} -le 200 ] && [[ $slice == agentd-runs-"${escaped:0:100}"* ]]; then
            ok "which is of the beginning of its name and a digest: $slice"
        else
            no "a slice of the beginning of its name and a digest" "$slice"
        fi
    fi
    check "and is called off" ctl alice cancel "$work" --reason "enough"
    wait_until "and over" 30 is alice "$work" cancelled
done
if [ "$unit" = agentd.service ]; then
    equal "no two agents have one slice" "${#names[@]}" "$(sort -u /tmp/slices | wc -l)"
fi
for name in '' a/b '../a' 'a b' '-a' "${long}xyz" $'a\nb' 'a\x2db' A 'ä'; do
    refute "no agent is named $(printf %q "$name")" ctl alice agent enroll "$name" -- sleep 600
done
equal "no unit of agentd has failed" '' "$(systemctl list-units --failed --plain --no-legend 'agentd*')"
end
