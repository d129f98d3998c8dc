# What the scenes share in which agentd is installed as people install it: works under way while one version follows another,
# and a disk that fills meanwhile. After lib.sh.
made=/agentd/made # the deb and the tarball, which booted.rs binds
lasting=() loops=() living=''

# ctl USER ARGUMENT…: agentctl as this user types it, wherever it is installed.
ctl() { as_user "$1" agentctl "${@:2}"; }
# keep COMMAND…: its exit code, and what it says for `told`. told TEXT: that has the text.
keep() { "$@" >/tmp/said 2>&1; }
told() { says "it says: $1" "$1" cat /tmp/said; }
# absent PATH…: nothing is there.
absent() { for path; do refute "$path is gone" test -e "$path" -o -L "$path"; done; }

alive() { pids 'sleep 60[1-4]'; }
# are_alive COUNT: so many programs live.
are_alive() { [ "$(alive | wc -w)" = "$1" ]; }
# under_way WORK…: those that are not over. not_done WORK…: those that are not completed by their first attempt.
under_way() { those 'state not in ("completed", "failed", "cancelled")' "$@"; }
not_done() { those 'state != "completed" or attempts != 1' "$@"; }
# those EXPRESSION WORK…: of these works of alice's, those for which it holds; one that is not there is one of them.
those() {
    local works
    works=$(ctl alice work list --json -n 1000) || { echo "no answer"; return; }
    python3 -c 'import json, sys
works = {work["id"]: work for work in json.load(sys.stdin)}
for id in sys.argv[2:]:
    state, attempts = (works[id]["state"], works[id]["attempts"]) if id in works else ("not there", 0)
    if eval(sys.argv[1]): print(id, state, attempts, works.get(id, {}).get("reason"))' "$@" <<<"$works" || echo "no list"
}
all_over() { [ -z "$(under_way "$@")" ]; }

# hand_in AGENT KEY: work of alice's for it; its id. Who is cut off by the stop of a daemon asks once more.
hand_in() {
    local how=(submit "work for $1" --agent "$1" --max-attempts 1 --key "$2" -q)
    ctl alice "${how[@]}" 2>>/tmp/refused || ctl alice "${how[@]}" 2>>/tmp/refused || echo w-none
}
# busy AGENT: two works at a time, so that the next begins when one is over, until /tmp/loading is gone.
busy() {
    local count=0 work until
    while [ -e /tmp/loading ]; do
        for _ in 1 2; do
            count=$((count + 1))
            work=$(hand_in "$1" "$1-$BASHPID-$count")
            echo "$work" >>/tmp/handed-in
        done
        until=$((SECONDS + 20))
        until all_over "$work" || [ $SECONDS -ge $until ]; do sleep .4; done
    done
}
handed_in() { [ "$(wc -l </tmp/handed-in)" -ge "$1" ]; }

# make_room: for more runs at a time than a small machine takes; the operator says so in the configuration.
make_room() { sed -i 's/^\[runs\]$/&\nmax = 16/' /etc/agentd/agentd.toml; }
# load: four runs that live until `release`, and three agents that begin one run after the other until `settle`.
load() {
    local n
    for n in 1 2 3 4; do enrol alice "lasting-$n" sh -c "sleep 60$n; echo '\"done\"'"; done
    for n in 1 2 3; do enrol alice "brief-$n" sh -c 'echo "\"done\""'; done
    last
    bustle
}
last() {
    local n work
    lasting=()
    for n in 1 2 3 4; do lasting+=("$(submit alice "lasting-$n")"); done
    for work in "${lasting[@]}"; do await "$work works" 60 is alice "$work" running; done
    await "four programs live" 60 are_alive 4
    living=$(alive)
}
bustle() {
    local n
    : >/tmp/handed-in
    : >/tmp/refused
    touch /tmp/loading
    for n in 1 2 3; do
        busy "brief-$n" &
        loops+=($!)
    done
    await "others begin and end beside them" 60 handed_in 8
}
# undisturbed: the four are as they were.
undisturbed() {
    local work
    equal "the runs are the same processes" "$living" "$(alive)"
    for work in "${lasting[@]}"; do wait_until "$work works" 30 is alice "$work" running; done
}
# settle: nothing more is handed in, and of what was nothing is lost: each was begun once, and is done.
settle() {
    local works
    rm /tmp/loading
    wait "${loops[@]}"
    loops=()
    mapfile -t works </tmp/handed-in
    refute "each of ${#works[@]} works was taken: $(tail -n 1 /tmp/refused)" grep -q w-none /tmp/handed-in
    wait_until "all of them are over" 60 all_over "${works[@]}"
    equal "and each is done, at its one attempt" '' "$(not_done "${works[@]}")"
}
# release: the four come to their end.
release() {
    kill $(alive)
    wait_until "they come to their end" 60 all_over "${lasting[@]}"
    equal "and each is done, at its one attempt" '' "$(not_done "${lasting[@]}")"
}

# crowd FOLDER: it becomes a file system of its own, with room for half a MiB more than it holds. At no moment is it without what
# it holds, which is also in /tmp/before. relieve FOLDER: no longer.
crowd() {
    cp -a "$1" /tmp/before
    mkdir /srv/crowded
    mount -t tmpfs -o "size=$(($(du -sk /tmp/before | cut -f1) + 512))k,mode=755" tmpfs /srv/crowded
    cp -a /tmp/before/. /srv/crowded/
    mount --bind /srv/crowded "$1"
}
relieve() { umount -l "$1" && umount -l /srv/crowded && rm -r /tmp/before /srv/crowded; }
# How many works alice has.
works() { ctl alice work list --json | json 'len(it["works"] if isinstance(it, dict) else it)'; }
