#!/bin/sh
# The main job on real input: a private daemon, two agents as real programs, works over a real source tree, judged; four
# agents that the daemon starts and confines itself, on a real git repository; a kill -9; and a ledger that verifies. Needs
# neither root nor a bus nor systemd; without bubblewrap it says what is skipped.
#
# usage: run.sh [--bin DIR] [--root TREE] [--clean]
set -eu

here=$(cd "$(dirname "$0")/../.." && pwd)
bin=${CARGO_TARGET_DIR:-$here/target}/release
root=$here
clean=
while [ $# -gt 0 ]; do
    case $1 in
    --bin) bin=$2; shift 2 ;;
    --root) root=$(cd "$2" && pwd); shift 2 ;;
    --clean) clean=yes; shift ;;
    *) echo "usage: $0 [--bin DIR] [--root TREE] [--clean]" >&2; exit 2 ;;
    esac
done

umask 022
try=$here/target/quickstart
# Root's daemon gives each run a user of its own, who must be able to pass the folders above.
passable() {
    [ "$(id -u)" = 0 ] || return 0
    place=$1
    while [ "$place" != / ]; do
        [ ! -e "$place" ] || [ -n "$(find "$place" -maxdepth 0 -perm -001)" ] || return 1
        place=$(dirname "$place")
    done
}
# The path of a unix socket has at most 107 bytes, and those of runs have some more than the daemon's.
[ ${#try} -le 48 ] && passable "$try" || try=${TMPDIR:-/tmp}/agentd-quickstart-$(id -u)
PATH=$bin:$PATH
export AGENTD_STATE=$try/state AGENTD_ADDRESS=$try/state/run/control.sock XDG_CONFIG_HOME=$try/config XDG_STATE_HOME=$try/cli

# Ends one process that this script started, by the id that it wrote down.
end() {
    pid=$(cat "$1")
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" || true) in *"$try"* | *agentd* | *agentctl*) kill "$pid" 2>/dev/null || true ;; esac
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.05; done
    rm -f "$1"
}

# Ends what an earlier run of this script left behind. Runs outlive their daemon, so that it is asked to end them first.
stop() {
    if [ -f "$try/agentd.pid" ] && command -v agentctl >/dev/null 2>&1; then
        for agent in fixer shortcut nosy patient; do agentctl agent suspend "$agent" --reason 'the tour is over' -q >/dev/null 2>&1 || true; done
        tries=0
        while runs_live && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.05; done
    fi
    for file in "$try"/*.pid; do
        [ ! -f "$file" ] || end "$file"
    done
}

# Whether a shim, the parent of a run, still lives below our state.
runs_live() {
    for started in "$try"/state/runs/*/*/started.json; do
        [ -f "$started" ] && [ ! -f "${started%/*}/outcome.json" ] || continue
        pid=$(sed 's/.*"shim": *\([0-9]*\).*/\1/' "$started")
        [ "$(cat "/proc/$pid/comm" 2>/dev/null || true)" != agentd-shim ] || return 0
    done
    return 1
}

# In a folder that everybody may write to, somebody else could have been there first.
if [ -L "$try" ] || [ -n "$(find "$try" -maxdepth 0 ! -user "$(id -u)" 2>/dev/null || true)" ]; then
    echo "$try is not yours: remove it, or set TMPDIR" >&2
    exit 1
fi
[ ! -f "$try/bin.path" ] || PATH=$(cat "$try/bin.path"):$PATH
stop
rm -rf "$try"
if [ -n "$clean" ]; then
    echo "removed $try"
    exit 0
fi
mkdir -p "$try"
if ! passable "$bin/agentd-shim"; then
    # The users of runs must reach the shim too, which no path through root's home lets them.
    mkdir -p "$try/bin"
    for program in agentd agentctl agentd-launch agentd-shim; do cp "$bin/$program" "$try/bin/"; done
    bin=$try/bin
    PATH=$bin:$PATH
fi
trap 'status=$?; [ $status -eq 0 ] || { echo "the tour ended early; the logs are in $try" >&2; stop; }' EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# Shows a command as one would type it, with paths from the top of this tree, and runs it.
run() {
    shown=
    for word in "$@"; do
        case $word in *[!A-Za-z0-9_./:=,@%+-]*) word="'$word'" ;; esac
        shown="$shown ${word#"$here"/}"
    done
    printf '$%s\n' "$shown"
    "$@"
}

say "1. A private daemon: its own directory, its own sockets"
echo "$bin" >"$try/bin.path"
# On a nearly full disk no run begins; the tour needs little.
printf '[limits]\nbackoff = "300ms"\n\n[runs]\nmin_free_percent = 1\n' >"$try/agentd.toml"
start_daemon() {
    AGENTD_CONFIG=$try/agentd.toml agentd >>"$try/agentd.log" 2>&1 &
    echo $! >"$try/agentd.pid"
    tries=0
    until agentctl status -q >/dev/null 2>&1; do
        tries=$((tries + 1))
        kill -0 "$(cat "$try/agentd.pid")" 2>/dev/null || { cat "$try/agentd.log" >&2; exit 1; }
        [ $tries -lt 200 ] || { echo "the daemon does not answer; see $try/agentd.log" >&2; exit 1; }
        sleep 0.05
    done
    echo "agentd runs (pid $(cat "$try/agentd.pid")), state in $try/state"
}
start_daemon

say "2. Two agents: each has a key of its own and proves that it has it"
run agentctl agent enroll surveyor --skill survey --description "plain shell, under agentctl agent serve"
run agentctl agent enroll reader --skill read --description "Python's standard library alone, speaks HTTP itself"
agentctl agent serve surveyor -- "$here/examples/agents/surveyor.sh" >"$try/surveyor.log" 2>&1 &
echo $! >"$try/surveyor.pid"
if command -v python3 >/dev/null 2>&1; then
    python3 "$here/examples/agents/reader.py" reader "$XDG_CONFIG_HOME/agentd/agents/reader/id_ed25519" "$AGENTD_STATE/run/agents.sock" >"$try/reader.log" 2>&1 &
else
    echo "python3 is not here: the shell agent serves as the second one too"
    agentctl agent serve reader -- "$here/examples/agents/surveyor.sh" >"$try/reader.log" 2>&1 &
fi
echo $! >"$try/reader.pid"

say "3. Five works over $root, and a schedule"
tomorrow=$(date -u -d '+1 day' +%Y-%m-%dT%H:%M:%SZ)
fill() { sed -e "s|@ROOT@|$root|g" -e "s|@TOMORROW@|$tomorrow|g" "$1"; }
fill "$here/examples/quickstart/works.jsonl.in" >"$try/works.jsonl"
fill "$here/examples/quickstart/nightly.toml.in" >"$try/nightly.toml"
agentctl submit --file "$try/works.jsonl" -q >"$try/ids"
echo '$ agentctl submit --file works.jsonl'
cat "$try/ids"
inventory=$(sed -n 1p "$try/ids") longest=$(sed -n 2p "$try/ids") rust=$(sed -n 3p "$try/ids") docs=$(sed -n 4p "$try/ids")
run agentctl schedule add --file "$try/nightly.toml"
state_of() { agentctl work show "$1" --json --fields state | sed 's/.*"state": *"\([a-z]*\)".*/\1/' | tr -d '{}\n '; }
wait_for() {
    tries=0
    until [ "$(state_of "$1")" = "$2" ]; do
        tries=$((tries + 1))
        [ $tries -lt 400 ] || { agentctl why "$1" >&2; exit 1; }
        sleep 0.05
    done
}
wait_for "$inventory" completed
wait_for "$longest" completed
wait_for "$rust" completed
wait_for "$docs" verifying

say "4. One of them waits for a person"
run agentctl accept "$docs" --note "looks right"
wait_for "$docs" completed

say "5. Where everything stands"
run agentctl status
run agentctl work list

say "6. The whole story of one work: its first result failed the schema, the second, given the verdict, passed"
run agentctl log "$longest"

say "7. What the agents have done"
run agentctl history surveyor
run agentctl history reader

. "$here/examples/quickstart/runs.sh"
show_runs

say "13. The ledger verifies; nobody has to take our word for it"
run agentctl ledger verify --deep

say "14. One byte changed, in a copy: verify names the event"
agentctl ledger backup "$try/copy.db" -q >/dev/null
"$here/examples/quickstart/flip.sh" "$try/copy.db" '"reason":"rejected'
if run agentctl ledger verify "$try/copy.db"; then
    echo "the change was not found: that is a defect" >&2
    exit 1
fi

say "no model used, 0.00 USD"
cat <<TEXT

The daemon and the agents are still running. Type next:
  export AGENTD_ADDRESS=$AGENTD_ADDRESS PATH=$bin:\$PATH
  agentctl submit 'Count once more' --skill survey --inputs '{"root":"$root","task":"inventory"}' --wait
  agentctl why $(sed -n 5p "$try/ids")
  agentctl ledger log -n 20
  make quickstart-clean          # stops and removes all of it
TEXT
