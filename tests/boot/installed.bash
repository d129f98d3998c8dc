# Sourced by the scripts that install agentd on a host that systemd booted. Needs bash, root, and users made by the script.
work=$(mktemp -d)

fail() {
    echo "FAILED: $*" >&2
    [ ! -f "$work/said" ] || sed 's/^/  said: /' "$work/said" >&2
    journalctl --no-pager -n 40 >&2 || true
    exit 1
}
# check WHAT COMMAND…: the command succeeds. refute: it does not. What it says is kept in "said".
check() { local what=$1; shift; "$@" >"$work/said" 2>&1 || fail "$what"; echo "ok  $what"; }
refute() { local what=$1; shift; ! "$@" >"$work/said" 2>&1 || fail "$what"; echo "ok  $what"; }
same() { [ "$1" = "$2" ] || { echo "have $1, want $2"; return 1; }; }
# keep: what the command before said; told TEXT: it is in that.
keep() { cp "$work/said" "$work/said.last"; }
told() { check "it says: $1" grep -qF -- "$1" "$work/said.last" || cat "$work/said.last"; }
as() { runuser -u "$1" -- env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="/home/$1" "${@:2}"; }
pid() { systemctl show -P MainPID "$1"; }
# How many works alice has.
works() { as alice agentctl --json work list | grep -c '"w-' || true; }
