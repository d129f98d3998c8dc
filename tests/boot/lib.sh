# What the scenes share. A scene runs as root inside of with-systemd, says what it checks line by line, and has failed when
# one check did, when it did not come to its end, or when it checked nothing.
set -u
here=/agentd/boot        # this folder; booted.rs binds it, and the others
bin=/agentd/bin          # the binaries of the target folder
source=/agentd/source    # systemd/ and schemas/ of the tree
checked=0 failed=0 ended=''

# end: the last line of every scene.
end() { ended=yes; exit 0; }
# What is behind $?: the verdict, whatever ended the scene.
verdict() {
    local code=$?
    [ -n "$ended" ] || { echo "FAILED the scene did not come to its end (exit code $code)"; exit 1; }
    echo "$checked checks, $failed failed"
    # Without a number it would be the code from before the trap.
    [ "$failed" = 0 ] && [ "$checked" -gt 0 ] && exit 0
    exit 1
}
trap verdict EXIT

ok() { checked=$((checked + 1)); echo "ok     $1"; }
no() { checked=$((checked + 1)); failed=$((failed + 1)); echo "FAILED $1"; [ $# -lt 2 ] || printf '%s\n' "$2" | tail -n 40 | sed 's/^/       | /'; }

# check NAME COMMAND…: the command succeeds.
check() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1 </dev/null); then ok "$name"; else no "$name" "$* ended with $?: $said"; fi
}
# refute NAME COMMAND…: the command fails.
refute() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1 </dev/null); then no "$name" "$* succeeded: $said"; else ok "$name"; fi
}
# equal NAME WANTED GOT
equal() { if [ "$2" = "$3" ]; then ok "$1"; else no "$1" "wanted: $2"$'\n'"got:    $3"; fi; }
# says NAME TEXT COMMAND…: what the command prints on either stream has the text in it, whatever its exit code.
says() {
    local name=$1 text=$2 said
    shift 2
    said=$("$@" 2>&1 </dev/null)
    if [[ $said == *"$text"* ]]; then ok "$name"; else no "$name" "no «$text» in what $* says: $said"; fi
}
# silent NAME TEXT COMMAND…: the text is not in it.
silent() {
    local name=$1 text=$2 said
    shift 2
    said=$("$@" 2>&1 </dev/null)
    if [[ $said == *"$text"* ]]; then no "$name" "«$text» in what $* says: $said"; else ok "$name"; fi
}
# wait_until NAME SECONDS COMMAND…: asks until the command succeeds; a check of its own.
wait_until() {
    local name=$1 until=$((SECONDS + $2)) said
    shift 2
    while ! said=$("$@" 2>&1 </dev/null); do
        [ $SECONDS -lt $until ] || { no "$name" "not in time: $*: $said"; return 1; }
        sleep .1
    done
    ok "$name"
}
# need NAME COMMAND…: a check without which the rest says nothing.
need() { local before=$failed; check "$@"; [ "$failed" = "$before" ] || exit 1; }
# await NAME SECONDS COMMAND…: the same, for what takes time.
await() { wait_until "$@" || exit 1; }

# as_user NAME COMMAND…: as this user with its groups, with an environment of its own.
as_user() {
    local user=$1 uid home
    shift
    uid=$(id -u "$user") || return 125
    home=$(getent passwd "$user" | cut -d: -f6)
    setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all -- env -i -C "$home" \
        PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 USER="$user" HOME="$home" XDG_RUNTIME_DIR="/run/user/$uid" "$@"
}

# prop UNIT PROPERTY: one property of a unit.
prop() { systemctl show --value -p "$2" "$1"; }
active() { [ "$(prop "$1" ActiveState)" = active ]; }
# json EXPRESSION: of the JSON document on stdin, in the words of Python, where it is `it`; text comes without quotes.
json() {
    python3 -c 'import json, sys
it = json.load(sys.stdin)
value = eval(sys.argv[1])
print(value if isinstance(value, str) else json.dumps(value))' "$1"
}
# cgroup UNIT FILE: a file of the control group that a unit has, in whatever hierarchy has such a file.
cgroup() {
    local group place
    group=$(prop "$1" ControlGroup)
    [ -n "$group" ] || return 1
    for place in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -f "$place$group/$2" ] && { cat "$place$group/$2"; return; }
    done
    return 1
}
# The mode that with-systemd was told.
unified() { [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; }
# The level that runs reach: limits of units hold where the controllers are in the hierarchy that systemd has.
level() { if ! unified || grep -qw memory /sys/fs/cgroup/cgroup.controllers; then echo unit; else echo strict; fi; }
systemd_version() { systemctl --version | awk 'NR == 1 { print $2 }'; }

# serve: agentd on the system bus, as $unit: by its own unit where it is installed, else by one written here, as root.
serve() {
    /agentd/boot/install.sh || exit 1
    if [ -f /usr/lib/systemd/system/agentd.service ]; then
        unit=agentd.service
        need "its sockets are enabled, and listen" systemctl enable --now --quiet \
            $(cd /usr/lib/systemd/system && ls agentd.socket agentd-*.socket)
    else
        unit=agentd-by-hand.service
        by_hand
    fi
    need "agentd starts" systemctl start "$unit"
}
by_hand() {
    mkdir -p /etc/agentd
    printf 'mode = "system"\n[groups]\noperators = "agentd-operator"\nauditors = "agentd-audit"\n[runs]\nlauncher = "/usr/libexec/agentd/agentd-launch"\nshim = "/usr/libexec/agentd/agentd-shim"\n[sockets]\ncontrol = "/run/agentd/control.sock"\nagents = "/run/agentd/agents.sock"\n' >/etc/agentd/agentd.toml
    cat >/etc/systemd/system/agentd-by-hand.service <<'U'
[Service]
Type=notify
ExecStart=/usr/bin/agentd --state /var/lib/agentd --config /etc/agentd/agentd.toml
RuntimeDirectory=agentd
StateDirectory=agentd
StateDirectoryMode=0711
# Runs are below it as long as they are no units of their own; they outlive it as those do.
KillMode=process
U
    cat >/etc/dbus-1/system.d/agentd-by-hand.conf <<'B'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <policy user="root"><allow own="org.agentd1"/></policy>
  <policy context="default"><allow send_destination="org.agentd1"/></policy>
</busconfig>
B
    systemctl daemon-reload
    busctl --quiet call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
}

# ctl USER ARGUMENT…: agentctl of this user, on the system bus.
ctl() {
    local user=$1
    shift
    as_user "$user" /usr/bin/agentctl --address system "$@"
}
# enrol USER AGENT WORD…: an agent whose program is this command.
enrol() {
    local user=$1 agent=$2
    shift 2
    ctl "$user" agent enroll "$agent" -- "$@" >/tmp/enrolled 2>&1 || { no "$agent is enrolled" "$(cat /tmp/enrolled)"; exit 1; }
}
# submit USER AGENT [OPTION…]: work for this agent; its id.
submit() {
    local user=$1 agent=$2
    shift 2
    ctl "$user" submit "work for $agent" --agent "$agent" --max-attempts 1 -q "$@" || echo w-none
}
# is USER WORK STATE: whether the work is in this state.
is() { [ "$(ctl "$1" work show "$2" --json | json 'it["state"]')" = "$3" ]; }
# run_unit WORK [STEP]: the unit of the first run of a work.
run_unit() { echo "agentd-run-$1.1${2:+-$2}.service"; }
# need_units: the scene is about runs that are units of their own.
need_units() { need "runs are units of their own here" test -f /usr/lib/systemd/system/agentd-launch.service; }
# pids PATTERN: the processes whose command line is exactly this.
pids() { pgrep -fx "$1" | sort -n | paste -sd' '; }
# ticks PID: the processor time that it had.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
# verified: the ledger verifies, deeply.
verified() { agentd --state /var/lib/agentd verify --deep; }
# call USER INTERFACE METHOD [SIGNATURE ARGUMENT…]: a method of agentd, on the system bus.
call() {
    local user=$1 interface=$2 method=$3
    shift 3
    as_user "$user" busctl --timeout=30 --json=short call org.agentd1 /org/agentd1 "org.agentd1.$interface" "$method" "$@"
}
