#!/bin/bash
# As installed: an ordinary user of the group agentd submits with no further set-up, and the first call starts the daemon.
. /agentd/boot/lib.sh
serve
need_units

# plain USER ARGUMENT…: agentctl as people type it.
plain() { as_user "$1" agentctl "${@:2}"; }
check "alice asks for the status" plain alice status
check "alice submits" plain alice submit "typed as people do" -q
says "mallory, who is in no group, is told what to do about it" agentd plain mallory submit "may I" -q

daemon=$(prop agentd.service MainPID)
equal "the daemon is not root" _agentd "$(stat -c %U "/proc/$daemon")"
says "and has no capability" $'CapBnd:\t0000000000000000' cat "/proc/$daemon/status"
equal "its state is its own" '_agentd:_agentd 711' "$(stat -c '%U:%G %a' /var/lib/agentd)"
equal "the launcher's socket is for nobody else" 'root:_agentd 660' "$(stat -c '%U:%G %a' /run/agentd/launch.sock)"
refute "alice does not reach it" as_user alice python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("/run/agentd/launch.sock")'
says "systemctl shows it" 'agentd.slice' systemctl status agentd.service
check "systemd finds nothing wrong with its units" systemd-analyze verify --man=no agentd.service agentd.socket agentd-launch.service

# What the daemon found of its host is told, and not what the caller would find: her own launcher would have no rights.
await "the daemon has tried its host" 60 sh -c 'agentctl status --json | grep -q "\"level\":"'
finding() { plain "$1" doctor --json 2>/dev/null | json "' '.join(c['verdict'] + ': ' + c['detail'] + ' ' + c.get('fix', '') for c in it if c['name'] == '$2')"; }
level=$(agentctl status --json | json 'it["runs"]["level"]')
for who in alice olga audra; do
    says "doctor tells $who the level of the daemon's runs" "level $level works" finding "$who" confinement
    says "doctor tells $who that runs have users of their own" "ok: each run has a user of its own" finding "$who" "users of runs"
    says "doctor tells $who where the launcher is" "ok: is reached at /run/agentd/launch.sock" finding "$who" launcher
    says "doctor tells $who that the journal has the daemon's lines" "ok: agentd writes to it" finding "$who" journal
done
silent "nothing of it is tried as the caller" "have the uid of agentd" plain alice doctor
says "who may not see it is told so, and how that changes" "you may not see what agentd found out about it: uid:$(id -u mallory) may not see what agentd found out about the host" finding mallory host
says "and is told the command" "usermod -aG agentd" finding mallory host
equal "and learns nothing of it" '' "$(finding mallory confinement)$(finding mallory launcher)"
check "the launcher's socket is stopped" systemctl stop agentd-launch.socket agentd-launch.service
says "doctor says that the launcher is away, with the way out" "systemctl restart agentd-launch.socket" finding alice launcher
check "which is one" systemctl restart agentd-launch.socket
says "and it is there again" "ok: is reached" finding alice launcher

stopped() { [ "$(prop agentd.service ActiveState)" = inactive ]; }
for way in "its socket:plain alice status" "the agents' socket:as_user alice curl_agents" "the system bus:call alice Host Status"; do
    check "the daemon stops" systemctl stop agentd.service
    await "and stays down" 20 stopped
    case $way in
    *curl_agents) check "a call at ${way%%:*} starts it" as_user alice python3 -c 'import socket
s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect("/run/agentd/agents.sock")
s.sendall(b"GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); assert s.recv(9) == b"HTTP/1.1 "' ;;
    *) check "a call at ${way%%:*} starts it" ${way#*:} ;;
    esac
    wait_until "it is active" 20 active agentd.service # it may answer before systemd has heard that it is ready
done

# Who calls while it restarts waits, and is not refused; who is cut off by the stop itself is asked for once more by agentctl.
(for _ in 1 2 3; do
    systemctl reset-failed agentd.service # or it counts as started too often
    systemctl restart agentd.service
done) &
restarts=$!
asked=0 answered=0
while kill -0 "$restarts" 2>/dev/null; do
    asked=$((asked + 1))
    if plain alice status >/dev/null 2>/tmp/refusal; then answered=$((answered + 1)); else cat /tmp/refusal >>/tmp/refused; fi
done
if [ "$asked" = "$answered" ]; then ok "all $asked calls during three restarts are answered"; else no "$answered of $asked calls during restarts are answered" "$(cat /tmp/refused)"; fi
check "monitoring asks in the middle of a restart" sh -c 'systemctl --no-block restart agentd.service; for n in 1 2 3 4 5 6 7 8; do setpriv --reuid alice --regid alice --init-groups agentctl status --check || exit 1; done'
equal "and none of them counted as a failure" 0 "$(prop agentd.service NRestarts)"
check "a reload is taken" systemctl reload agentd.service
check "and the daemon answers" plain alice status
equal "no unit of agentd has failed" '' "$(systemctl list-units --failed --plain --no-legend 'agentd*')"

echo "== a configuration with a mistake"
cp -p /etc/agentd/agentd.toml /root/agentd.toml
check "the daemon stops" systemctl stop agentd.service
wait_until "and stays down" 20 stopped
printf '\n[limts]\nmax = 1\n' >>/etc/agentd/agentd.toml
begun=$(date +%s)
said=$(plain alice status 2>&1)
took=$(($(date +%s) - begun))
if [ "$took" -le 3 ]; then ok "who calls is not kept waiting"; else no "who calls is not kept waiting" "$took s"; fi
says "and is told what is wrong" 'agentd.service did not start: ' echo "$said"
says "with the line" 'limts' echo "$said"
says "and the way out" 'systemctl restart agentd' echo "$said"
says "so is the next one" 'limts' plain alice status
says "and monitoring" 'UNKNOWN' plain alice status --check
says "systemctl shows it" 'limts' systemctl status --no-pager agentd.service
cp -p /root/agentd.toml /etc/agentd/agentd.toml
systemctl reset-failed agentd.service 'agentd*.socket'
check "once it is mended it starts" systemctl restart agentd.service
check "and answers" plain alice status

echo "== a socket that nobody needs"
for name in metrics agents; do
    check "the one of $name is masked" systemctl mask --runtime --now "agentd-$name.socket"
    check "the daemon starts without it" systemctl restart agentd.service
    check "and answers" plain alice status
    refute "nobody listens there" python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "/run/agentd/$name.sock"
    check "it is unmasked" systemctl unmask --runtime "agentd-$name.socket"
    check "the daemon starts with it" systemctl restart agentd.service
    check "and it is there again" test -S "/run/agentd/$name.sock"
done
says "that agents have no door is told" 'no socket for agents' journalctl -q -u agentd.service -o cat
end
