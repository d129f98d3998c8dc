# What lies outside of a sandbox, for escape-probe to reach; and what it reaches without one, the control. After lib.sh.
mark=scene$$
memory=$((256 << 20)) file=$((16 << 20)) tasks=64

# lay_outside WORKSPACE: lays it out; $arguments is what the probe is told about it and about where it works.
lay_outside() {
    local canary="canary of $mark" victim tcp udp
    useradd --system --create-home --home-dir /srv/outside probe
    chmod 755 /srv/outside
    printf %s "$canary" >/srv/outside/secret
    chown probe /srv/outside/secret
    mkfifo /tmp/held
    sleep 900 >/tmp/held &
    setpriv --reuid probe --regid probe --clear-groups python3 "$here/outside.py" /srv/outside "$mark-abstract" </tmp/held &
    setpriv --reuid probe --regid probe --clear-groups sleep 900 &
    victim=$!
    await "what lies outside is there" 20 test -f /srv/outside/ports
    read -r tcp udp </srv/outside/ports
    arguments=(--secret /srv/outside/secret --canary "$canary" --outside /srv/outside --workspace "$1" --home /srv/outside
        --tcp "$tcp" --udp "$udp" --abstract "$mark-abstract" --unix /srv/outside/socket --victim "$victim" --shm-token "$mark"
        --memory $((memory + (64 << 20))) --tasks $((tasks + 64)) --file-bytes "$file"
        --host-dev "$(awk '{ print $2 }' /proc/self/mounts | xargs stat -c %d 2>/dev/null | sort -un | paste -sd,)"
        --host-ns "$(readlink /proc/self/ns/* | paste -sd,)")
}

# told FILE: attempt and outcome, a line for each.
told() { sed -n 's/^{"attempt":"\([^"]*\)".*"outcome":"\([^"]*\)".*/\1 \2/p' "$1" | sort; }

# control: what gets out without a sandbox, in /tmp/bare. A probe that is broken reaches nothing here either.
control() {
    local out
    systemd-run --quiet --pipe --wait -p User=probe -p LimitMEMLOCK=infinity "$bin/escape-probe" "${arguments[@]}" </dev/null >/tmp/bare 2>/tmp/bare.err
    equal "without a sandbox the probe comes to its end" 0 $?
    out=$(told /tmp/bare | grep -c ' escaped$')
    if [ "$out" -ge 20 ]; then ok "and $out attempts get out: the control"; else no "and gets out: the control" "only $out: $(cat /tmp/bare.err)"; fi
    rm -f "/dev/shm/agentd-probe-$mark"
}
