# The part of the tour in which agentd starts agents itself. run.sh reads it: say, run, start_daemon and the places are from
# there.

# What keeps this part from being shown here, in the words of `agentctl doctor`; nothing where nothing does.
hindrance() {
    for tool in git ssh-keygen; do
        command -v $tool >/dev/null 2>&1 || { echo "$tool is not here: apt-get install git openssh-client"; return; }
    done
    agentctl doctor --no-color >"$try/doctor" 2>&1 || true
    grep -q '^confinement *ok .*strict works' "$try/doctor" && grep -q '^git of runs *ok' "$try/doctor" && return
    sed -n -e '/^confinement: /,/^$/p' -e '/^git of runs: /,/^$/p' "$try/doctor" >"$try/why-not"
    [ -s "$try/why-not" ] || grep -E '^(confinement|git of runs) ' "$try/doctor" >"$try/why-not" || true
    cat "$try/why-not"
}

git_here() { git -c user.name=Person -c user.email=person@example.org -c init.defaultBranch=main -c commit.gpgsign=false "$@"; }

# A repository of a person, with two defects in total.sh.
make_shop() {
    cp -R "$here/examples/quickstart/shop" "$try/shop"
    cd "$try/shop"
    git_here init -q .
    git_here add .
    git_here commit -q -m "a shop"
    cd "$here"
}

show_runs() {
    why_not=$(hindrance)
    if [ -n "$why_not" ]; then
        say "8 to 12. Agents that agentd starts: SKIPPED, this host cannot confine them as they ask"
        printf '%s\n' "$why_not"
        return
    fi
    make_shop
    export XDG_CACHE_HOME=$try/cache

    say "8. Agents that agentd starts: a program, its skills, its sandbox, its limits, in one file each (examples/agents)"
    for agent in fixer shortcut nosy patient; do
        run agentctl agent enroll --file "$here/examples/agents/$agent/agent.toml" -q
    done
    cd "$try/shop"
    echo "the repository is ${try#"$here"/}/shop; its tests fail:"
    run sh tests/run.sh || true

    say "9. A change judged by a command: the first attempt fails, the second is given the verdict and passes"
    run agentctl submit 'Make the tests pass' --repo . --skill repair --accept 'sh tests/run.sh' --protect 'tests/**' --max-attempts 3 --wait
    fixed=$(latest)
    run agentctl work diff "$fixed"
    echo "your repository was not touched until now:"
    run git status --short
    run agentctl work apply "$fixed"
    run sh tests/run.sh
    verify_commit

    say "10. An agent that edits the tests to pass is caught: they were protected, and put back before they judged"
    git reset -q --hard HEAD~1
    if run agentctl submit 'Make the tests pass, quickly' --repo . --skill shortcut --accept 'sh tests/run.sh' --protect 'tests/**' --max-attempts 1 --wait; then
        echo "it was not caught: that is a defect" >&2
        exit 1
    fi
    cd "$here"

    say "11. An agent that reads a secret, writes outside its workspace and opens a connection is contained"
    echo "the password is swordfish" >"$try/secret"
    chmod 644 "$try/secret"
    listen
    echo "the same script, started by you:"
    echo "\$ echo '$try/secret $try/written $port' | examples/agents/nosy/nosy.sh"
    echo "$try/secret $try/written $port" | "$here/examples/agents/nosy/nosy.sh"
    rm -f "$try/written"
    echo "and as an agent:"
    run agentctl submit "$try/secret $try/written $port" --title 'Look around' --skill nosy --max-attempts 1 --wait
    run agentctl log "$(latest)"
    [ ! -f "$try/listener.pid" ] || end "$try/listener.pid"
    [ ! -e "$try/written" ] || { echo "$try/written was written: that is a defect" >&2; exit 1; }

    say "12. The daemon is killed (kill -9) while an agent works: the run goes on, is found again, and counts once"
    patient=$(agentctl submit 'Write a diary' --skill patience --folder "$here/examples/quickstart/shop" -q)
    tries=0
    until agentctl work output "$patient" --stderr 2>/dev/null | grep -q 'second 1'; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || { agentctl why "$patient" >&2; exit 1; }
        sleep 0.05
    done
    echo "\$ kill -9 $(cat "$try/agentd.pid")     # agentd"
    kill -9 "$(cat "$try/agentd.pid")"
    wait "$(cat "$try/agentd.pid")" 2>/dev/null || true
    start_daemon
    run agentctl watch "$patient"
    run agentctl work diff "$patient"
    run agentctl log "$patient"

    say "What they cost: money as they reported it, time and memory from the kernel"
    run agentctl cost --by agent
}

verify_commit() {
    echo '$ agentctl agent signers fixer > signers'
    agentctl agent signers fixer | tee "$try/signers"
    if ! id -un >/dev/null 2>&1; then
        echo "SKIPPED: ssh-keygen works for no user without a name, and uid $(id -u) has none"
        return
    fi
    echo "the commit is the agent's, signed with its key; git and ssh-keygen agree:"
    run git config gpg.ssh.allowedSignersFile "$try/signers"
    run git --no-pager log --show-signature --max-count=1 --no-color
    run "$here/examples/quickstart/verify.sh" HEAD "$try/signers"
}

latest() { agentctl work list -q | head -n 1; }

# A port of this host that answers; 0 where nothing is here to answer with.
listen() {
    port=0
    command -v python3 >/dev/null 2>&1 || { echo "python3 is not here: nothing to connect to, that part is skipped"; return 0; }
    python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True); time.sleep(60)' agentd-quickstart >"$try/port" 2>/dev/null &
    echo $! >"$try/listener.pid"
    tries=0
    until [ -s "$try/port" ] || [ $tries -ge 100 ]; do tries=$((tries + 1)); sleep 0.05; done
    port=$(cat "$try/port")
}
