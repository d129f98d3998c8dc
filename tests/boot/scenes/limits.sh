#!/bin/bash
# The limits of a run hold, and who asks learns which one ended it: memory, tasks, processor, time, output.
. /agentd/boot/lib.sh
serve

# document NAME COMMAND LINE…: an agent of alice with these lines in its document.
document() {
    local name=$1 command=$2
    shift 2
    {
        printf 'name = "%s"\ncommand = ["sh", "-c", %s]\n[resources]\n' "$name" "$(python3 -c 'import json, sys; print(json.dumps(sys.argv[1]))' "$command")"
        printf '%s\n' "$@"
    } >"/home/alice/$name.toml"
    ctl alice agent enroll --file "/home/alice/$name.toml" >/tmp/enrolled 2>&1 || { no "$name is enrolled" "$(cat /tmp/enrolled)"; exit 1; }
}
# run NAME EXPRESSION: of the first run of the work that $NAME holds.
run() { ctl alice work show "${!1}" --json | json "it['runs'][0]$2"; }
# lacks NAME CONTROLLER WHAT: whether this host has no such controller, so that nothing can hold the limit for all processes of a
# run together; the run has to have that on record then, and must not otherwise.
lacks() {
    local said
    said=$(run "$1" '["confinement"].get("lacking", [])')
    if unified && ! grep -qw "$2" /sys/fs/cgroup/cgroup.controllers; then
        if [[ $said == *"$3"* ]]; then ok "this host has no controller $2, and the run says so"; else no "this host has no controller $2, and the run says so" "$said"; fi
        return 0
    fi
    if [[ $said == *"$3"* ]]; then no "the controller $2 holds, and the run lacks nothing of it" "$said"; fi
    return 1
}

document greedy 'head -c 400M /dev/zero | tail' 'memory_max = "64M"'
document forker 'i=0; while [ $i -lt 200 ]; do sleep 30 & i=$((i + 1)); done' 'tasks_max = 32'
document spinner 'while :; do :; done' 'cpu_quota = 20'
document talker 'yes | head -c 4M >&2; exit 3' 'output_max = "64K"'
document sitter 'sleep 600' 'memory_max = "64M"'
greedy=$(submit alice greedy) forker=$(submit alice forker) talker=$(submit alice talker)
sitter=$(submit alice sitter --timeout 8s) spinner=$(submit alice spinner --timeout 10s)
for work in $greedy $forker $talker $sitter $spinner; do await "the work of $(ctl alice work show "$work" --json | json 'it["title"]') is over" 60 is alice "$work" failed; done

# Without the controllers each process is held, and the user of the run: one process that takes too much fails in both modes.
lacks greedy memory 'memory that processes share is bounded by no limit'
peak=$(run greedy '["program"]["usage"]["peak_bytes"]')
if [ "$peak" -le $((68 << 20)) ]; then ok "a run that takes more memory than it has failed, and never had more ($peak B)"; else no "a run that takes more memory than it has failed, and never had more" "$(run greedy '["program"]')"; fi
lacks forker pids 'processes are counted for their user and not for the run'
says "a run that forks beyond its tasks is told by the kernel" 'Cannot fork' ctl alice log "$forker"
says "a run that takes too long is ended, which it is told for" 'timed out' ctl alice log "$sitter"
# How its program ended is told right after it.
stopped() { [ "$(ctl alice work show "$1" --json | json 'it["runs"][0].get("program", {}).get("stopped")')" = timeout ]; }
wait_until "after its time" 20 stopped "$sitter"
if ! lacks spinner cpu 'processor time has no bound'; then
    used=$(run spinner '["program"]["usage"]')
    spent=$(json '(it["user_us"] + it["system_us"]) * 100 // (it["wall_ms"] * 1000)' <<<"$used")
    # It is 20; a period more at the beginning and at the end is not a failure of the kernel's.
    if [ "$spent" -le 40 ]; then ok "a run of 20 percent had $spent percent of a processor"; else no "a run of 20 percent had $spent percent of a processor" "$used"; fi
fi
equal "all that a run says is counted" 4194304 "$(run talker '["program"]["stderr_bytes"]')"
kept=$(find /var/lib/agentd/runs -path "*$talker*" -name stderr -printf '%s\n' | sort -n | tail -n 1)
if [ "${kept:-0}" -le 65536 ]; then ok "and no more is kept than it may ($kept B)"; else no "no more is kept than it may" "$kept B"; fi
wait_until "nothing of them lives on" 20 sh -c '! pgrep -x "sleep|yes"'
check "the ledger verifies" verified
end
