#!/bin/bash
# What gets out of a hardened transient unit: nothing. escape-probe runs once as a user without any sandbox, which is the
# control: what it reached there, it must not reach inside. A unit has a user of its own, as each run has: before systemd 257
# it is that which keeps the processes of others from it.
. /agentd/boot/lib.sh

. "$here/outside.sh"
useradd --system inside
install -d -o inside -m 777 /srv/work
lay_outside /srv/work

control

mapfile -t properties < <(grep -v -e '^#' -e '^$' "$here/hardened")
given=()
for property in "${properties[@]}"; do given+=(-p "$property"); done
systemd-run --quiet --pipe --wait -p User=inside "${given[@]}" -p "MemoryMax=$memory" -p MemorySwapMax=0 -p "TasksMax=$tasks" \
    -p "LimitDATA=$memory" -p "LimitNPROC=$tasks" -p "LimitFSIZE=$file" -p BindPaths=/srv/work -p "BindReadOnlyPaths=$bin/escape-probe" \
    "$bin/escape-probe" "${arguments[@]}" </dev/null >/tmp/inside 2>/tmp/inside.err
equal "inside the probe comes to its end too" 0 $?
equal "and makes every attempt" "$(told /tmp/bare | cut -d' ' -f1)" "$(told /tmp/inside | cut -d' ' -f1)"
equal "none gets out" '' "$(grep '"outcome":"escaped"' /tmp/inside)"
refute "and the host sees nothing of it" test -e "/dev/shm/agentd-probe-$mark"
[ -s /tmp/inside ] || cat /tmp/inside.err
echo "escapes: $(tail -n 1 /tmp/bare) without a sandbox, $(tail -n 1 /tmp/inside) inside"
end
