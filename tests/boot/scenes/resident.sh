#!/bin/bash
# A resident agent as a unit: a user of its own that agentd knows by its name, its key as a credential, one door and no other.
. /agentd/boot/lib.sh
serve

# What the operations page says, step by step.
enrol() {
    ctl alice agent enroll "$1" --skill counting --key-dir "/home/alice/$1" -q || return 1
    mkdir -p /etc/credstore.encrypted /etc/agentd/resident
    systemd-creds encrypt --name=key "/home/alice/$1/id_ed25519" "/etc/credstore.encrypted/agentd-agent.$1" || return 1
    rm "/home/alice/$1/id_ed25519"
}
completed() { [ "$(ctl alice work show "$1" --json | json 'it["state"]')" = completed ]; }
# What the agent finds around itself, as its result.
cat >/usr/local/bin/look-around <<'P'
#!/usr/bin/python3
import glob, json, os, socket, sys
claim = json.load(sys.stdin)
def reaches(path):
    try: socket.socket(socket.AF_UNIX).connect(path)
    except OSError: return False
    return True
def family(number):
    try: socket.socket(number).close()
    except OSError: return False
    return True
doors = ["/run/agentd/control.sock", "/run/agentd/launch.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/agentd/agents.sock"]
print(json.dumps({"uid": os.getuid(), "doors": [door for door in doors if reaches(door)], "inet": family(socket.AF_INET), "vsock": family(40),
    "others": len([p for p in glob.glob("/proc/[0-9]*") if os.stat(p).st_uid != os.getuid()]),
    "credentials": os.path.exists("/etc/credstore.encrypted/agentd-agent.fixer"), "home": os.access("/home", os.R_OK),
    "capabilities": [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")][0],
    "writes": os.access("/etc", os.W_OK) or os.access("/usr", os.W_OK), "keeps": os.access(os.environ["HOME"], os.W_OK), "cwd": os.getcwd()}))
P
chmod 755 /usr/local/bin/look-around

need "alice enrols an agent, and its key becomes a credential" enrol fixer
refute "an agent without a configuration is not started" systemctl start agentd-agent@fixer.service
equal "nor tried again" 'failed 0' "$(prop agentd-agent@fixer.service ActiveState) $(prop agentd-agent@fixer.service NRestarts)"
said() { journalctl --sync; journalctl -u "agentd-agent@$1.service" -o cat --no-pager; }
says "the journal says what is missing" 'agent fixer cannot be started: no AGENT_COMMAND= in /etc/agentd/resident/fixer.conf says what it runs' said fixer
says "and the way out" 'agentctl agent enroll fixer --key-dir DIR' said fixer
says "and systemctl status does" 'agent fixer cannot be started' systemctl status --no-pager agentd-agent@fixer.service
printf 'AGENT_COMMAND=/bin/true\n' >/etc/agentd/resident/nosuch.conf
refute "an agent without a key is not started" systemctl start agentd-agent@nosuch.service
says "and the journal says so" 'agent nosuch cannot be started: its key is not in /etc/credstore.encrypted/agentd-agent.nosuch' said nosuch
rm /etc/agentd/resident/nosuch.conf
printf 'AGENT_COMMAND=/usr/local/bin/look-around\n' >/etc/agentd/resident/fixer.conf
systemctl reset-failed agentd-agent@fixer.service 2>/dev/null
need "systemctl start agentd-agent@fixer" systemctl start agentd-agent@fixer.service
work=$(ctl alice submit "Look around" --skill counting -q)
await "it does the work of its owner" 30 completed "$work"
seen=$(ctl alice work show "$work" --json)
field() { json "it['runs'][-1]['result']['$1']" <<<"$seen"; }
equal "of all doors it reaches its own alone" '["/run/agentd/agents.sock"]' "$(field doors)"
equal "it has a user of its own" agent-fixer "$(id -nu "$(field uid)")"
equal "no network" "false false" "$(field inet) $(field vsock)"
equal "it sees no process of others" 0 "$(field others)"
equal "it sees no credential of others, and no home" "false false" "$(field credentials) $(field home)"
equal "it has no capability" 0000000000000000 "$(field capabilities)"
equal "it writes to its own folder alone" "false true" "$(field writes) $(field keeps)"
equal "it is in its slice" agentd-agents.slice "$(prop agentd-agent@fixer.service Slice)"

# The name of the user counts with the key, and neither without the other.
need "alice enrols another" enrol other
cp /etc/agentd/resident/fixer.conf /etc/agentd/resident/other.conf
cp /etc/credstore.encrypted/agentd-agent.fixer /etc/credstore.encrypted/agentd-agent.other
systemctl start agentd-agent@other.service
wait_until "with the key of another it gives up, and is not started again" 20 \
    bash -c '[ "$(systemctl show --value -p ActiveState agentd-agent@other.service)" = failed ]'
says "and the log of the unit says why" "does not have the key" journalctl -u agentd-agent@other.service --no-pager

# The daemon goes and comes back: the agent waits, and works on.
unit=$(systemctl list-units --no-legend --plain 'agentd.service' 'agentd-by-hand.service' | awk '{ print $1; exit }')
pid=$(prop agentd-agent@fixer.service MainPID)
check "the daemon restarts" systemctl restart "$unit"
equal "the agent is the same process" "$pid" "$(prop agentd-agent@fixer.service MainPID)"
# A daemon that was started by hand takes its socket with it; that of systemd stays.
if [ "$unit" = agentd.service ]; then
    work=$(ctl alice submit "Look again" --skill counting -q)
    await "it works for the new daemon" 60 completed "$work"

    # A version that does not start: however often that is tried, sockets stay, and who is connected to them goes on afterwards.
    door=$(stat -c %i /run/agentd/agents.sock)
    install -d /run/systemd/system/agentd.service.d
    printf '[Service]\nExecStartPre=/bin/false\nRestartSec=100ms\n' >/run/systemd/system/agentd.service.d/scene.conf
    systemctl daemon-reload
    refute "a daemon is put in its place that does not start" systemctl restart agentd.service
    often() { [ "$(prop agentd.service NRestarts)" -ge 12 ]; }
    await "it is tried more often than services are by default" 60 often
    as_user alice agentctl submit "Look, whoever starts" --skill counting -q >/tmp/waits 2>&1 &
    call=$!
    for socket in agentd agentd-agents agentd-metrics agentd-launch; do check "$socket.socket is there" active "$socket.socket"; done
    equal "the agents' door is the same" "$door" "$(stat -c %i /run/agentd/agents.sock)"
    check "the agent waits" kill -0 "$pid"
    check "a call waits" kill -0 "$call"
    rm /run/systemd/system/agentd.service.d/scene.conf
    systemctl daemon-reload
    wait_until "the version after it starts by itself" 60 active agentd.service
    if wait "$call"; then ok "and answers the call"; else no "and answers the call" "$(cat /tmp/waits)"; fi
    await "the agent works for it" 60 completed "$(cat /tmp/waits)"
    equal "and is the same process still" "$pid" "$(prop agentd-agent@fixer.service MainPID)"

    # A host that has a start limit of its own loses its sockets at it: the agent leaves the door that leads nowhere, and finds the
    # one that comes in its place.
    printf '[Unit]\nStartLimitIntervalSec=1min\nStartLimitBurst=2\n[Service]\nExecStartPre=/bin/false\nRestartSec=100ms\n' \
        >/run/systemd/system/agentd.service.d/scene.conf
    install -d /run/systemd/system/agentd-agent@fixer.service.d
    sed -n 's/^ExecStart=/[Service]\nRestartSec=500ms\nExecStart=\n&/; s/--give-up 2min/--give-up 2s/p' \
        /usr/lib/systemd/system/agentd-agent@.service >/run/systemd/system/agentd-agent@fixer.service.d/scene.conf
    systemctl daemon-reload
    check "the agent is less patient" systemctl restart agentd-agent@fixer.service
    pid=$(prop agentd-agent@fixer.service MainPID)
    systemctl restart agentd.service 2>/dev/null
    gone() { [ "$(prop agentd-agents.socket ActiveState)" = failed ]; }
    await "the control: at a start limit the agents' door fails" 60 gone
    rm /run/systemd/system/agentd.service.d/scene.conf
    systemctl daemon-reload
    systemctl reset-failed 'agentd*'
    check "it is mended" systemctl start agentd.socket agentd-agents.socket agentd-metrics.socket agentd.service
    work=$(ctl alice submit "Look through the new door" --skill counting -q)
    await "it works at the new one" 60 completed "$work"
    refute "as another process" test "$pid" = "$(prop agentd-agent@fixer.service MainPID)"
    rm /run/systemd/system/agentd-agent@fixer.service.d/scene.conf
    systemctl daemon-reload
fi

# All of agentd is stopped, and comes back whole: what is enabled does.
if [ "$unit" = agentd.service ]; then
    check "it is enabled" systemctl enable --quiet agentd-agent@fixer.service
    check "all of agentd is stopped" systemctl stop 'agentd*.socket' agentd.slice
    refute "and the agent with it" active agentd-agent@fixer.service
    check "the daemon starts" systemctl start agentd.service
    wait_until "and the agent with it" 20 active agentd-agent@fixer.service
    work=$(ctl alice submit "Look once more" --skill counting -q)
    await "it works" 60 completed "$work"
    # Who stops one alone means it until agentd is started anew.
    check "the daemon is stopped" systemctl stop agentd.service
    check "the agent waits meanwhile" active agentd-agent@fixer.service
    check "the daemon starts again" systemctl start agentd.service
    check "an agent is stopped and disabled" systemctl disable --now --quiet agentd-agent@fixer.service
    check "the daemon restarts" systemctl restart agentd.service
    refute "who is disabled stays away" active agentd-agent@fixer.service
    check "it is started by hand" systemctl start agentd-agent@fixer.service
fi

says "its exposure is at most 1.0" yes bash -c 'systemd-analyze security --threshold=10 agentd-agent@fixer.service >/dev/null && echo yes'
check "systemd finds nothing wrong with the unit" systemd-analyze verify --man=no /usr/lib/systemd/system/agentd-agent@.service
check "stopped it leaves" systemctl stop agentd-agent@fixer.service
refute "its user is gone with it" getent passwd agent-fixer
end
