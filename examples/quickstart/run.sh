#!/bin/sh
# The main job on real input: a private daemon, two agents as real programs, works over a real source tree, judged, and
# a ledger that verifies. Needs neither root nor a bus nor systemd.
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

try=$here/target/quickstart
socket=$try/state/run/control.sock
# The path of a unix socket has at most 107 bytes.
[ ${#socket} -le 100 ] || try=${TMPDIR:-/tmp}/agentd-quickstart-$(id -u)
PATH=$bin:$PATH
export AGENTD_STATE=$try/state AGENTD_ADDRESS=$try/state/run/control.sock XDG_CONFIG_HOME=$try/config XDG_STATE_HOME=$try/cli

# Ends what an earlier run of this script left behind, by the ids that it wrote down.
stop() {
    for file in "$try"/*.pid; do
        [ -f "$file" ] || continue
        pid=$(cat "$file")
        case $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" || true) in *"$try"* | *agentd* | *agentctl*) kill "$pid" 2>/dev/null || true ;; esac
        tries=0
        while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.05; done
        rm -f "$file"
    done
}

stop
rm -rf "$try"
if [ -n "$clean" ]; then
    echo "removed $try"
    exit 0
fi
mkdir -p "$try"
trap 'status=$?; [ $status -eq 0 ] || { echo "the tour ended early; the logs are in $try" >&2; stop; }' EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

say "1. A private daemon: its own directory, its own sockets"
printf '[limits]\nbackoff = "300ms"\n' >"$try/agentd.toml"
AGENTD_CONFIG=$try/agentd.toml agentd >"$try/agentd.log" 2>&1 &
echo $! >"$try/agentd.pid"
tries=0
until agentctl status -q >/dev/null 2>&1; do
    tries=$((tries + 1))
    kill -0 "$(cat "$try/agentd.pid")" 2>/dev/null || { cat "$try/agentd.log" >&2; exit 1; }
    [ $tries -lt 200 ] || { echo "the daemon does not answer; see $try/agentd.log" >&2; exit 1; }
    sleep 0.05
done
echo "agentd runs (pid $(cat "$try/agentd.pid")), state in $try/state"

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

say "8. The ledger verifies; nobody has to take our word for it"
run agentctl ledger verify --deep

say "9. One byte changed, in a copy: verify names the event"
agentctl ledger backup "$try/copy.db" -q >/dev/null
"$here/examples/quickstart/flip.sh" "$try/copy.db" '"reason":"rejected'
if run agentctl ledger verify "$try/copy.db"; then
    echo "the change was not found: that is a defect" >&2
    exit 1
fi

say "no model used, 0.00 USD"
cat <<TEXT

The daemon and both agents are still running. Type next:
  export AGENTD_ADDRESS=$AGENTD_ADDRESS PATH=$bin:\$PATH
  agentctl submit 'Count once more' --skill survey --inputs '{"root":"$root","task":"inventory"}' --wait
  agentctl why $(sed -n 5p "$try/ids")
  agentctl ledger log -n 20
  make quickstart-clean          # stops and removes all of it
TEXT
