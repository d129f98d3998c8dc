#!/bin/bash
# What gets out of a hardened transient unit: nothing. escape-probe runs once as a user without any sandbox, which is the
# control: what it reached there, it must not reach inside. A unit has a user of its own, as each run has: before systemd 257
# it is that which keeps the processes of others from it.
. /agentd/boot/lib.sh

useradd --system --create-home --home-dir /srv/outside probe
useradd --system inside
mark=scene$$
memory=$((256 << 20)) file=$((16 << 20)) tasks=64
canary="canary of $mark"
printf %s "$canary" >/srv/outside/secret
chown probe /srv/outside/secret
install -d -o inside -m 777 /srv/work
mkfifo /tmp/held
sleep 900 >/tmp/held &
setpriv --reuid probe --regid probe --clear-groups python3 "$here/outside.py" /srv/outside "$mark-abstract" </tmp/held &
setpriv --reuid probe --regid probe --clear-groups sleep 900 &
victim=$!
await "what lies outside is there" 20 test -f /srv/outside/ports
read -r tcp udp </srv/outside/ports
arguments=(--secret /srv/outside/secret --canary "$canary" --outside /srv/outside --workspace /srv/work --home /srv/outside
    --tcp "$tcp" --udp "$udp" --abstract "$mark-abstract" --unix /srv/outside/socket --victim "$victim" --shm-token "$mark"
    --memory $((memory + (64 << 20))) --tasks $((tasks + 64)) --file-bytes "$file"
    --host-dev "$(awk '{ print $2 }' /proc/self/mounts | xargs stat -c %d 2>/dev/null | sort -un | paste -sd,)"
    --host-ns "$(readlink /proc/self/ns/* | paste -sd,)")

# told FILE: attempt and outcome, a line for each.
told() { sed -n 's/^{"attempt":"\([^"]*\)".*"outcome":"\([^"]*\)".*/\1 \2/p' "$1" | sort; }

systemd-run --quiet --pipe --wait -p User=probe -p LimitMEMLOCK=infinity "$bin/escape-probe" "${arguments[@]}" </dev/null >/tmp/bare 2>/tmp/bare.err
equal "without a sandbox the probe comes to its end" 0 $?
out=$(told /tmp/bare | grep -c ' escaped$')
if [ "$out" -ge 20 ]; then ok "and $out attempts get out: the control"; else no "and gets out: the control" "only $out: $(cat /tmp/bare.err)"; fi
rm -f "/dev/shm/agentd-probe-$mark"

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
