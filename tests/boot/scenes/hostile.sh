#!/bin/bash
# A hostile program in the daemon's place, with its user and its files: what the launcher does for it, and what it does not.
. /agentd/boot/lib.sh
serve
need_units
enrol alice sleeper sleep 600
work=$(submit alice sleeper)
await "a run of alice works" 60 is alice "$work" running
taken=$(ps -o uid= -p "$(pids 'sleep 600')" | tr -d ' ')
check "the daemon is put out of the way" systemctl stop agentd.service agentd.socket agentd-agents.socket agentd-metrics.socket

runs=/var/lib/agentd/runs
run=w-aaaaaaaaaaaaaaaa.1
# as_daemon COMMAND…: with the daemon's user, and its group alone.
as_daemon() { setpriv --reuid _agentd --regid _agentd --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- env -i PATH=/usr/bin:/bin "$@"; }
check "it makes a run's folder" as_daemon mkdir -m 711 "$runs/$run"
cat >/tmp/hostile.py <<'P'
import json, socket, sys
runs, run = sys.argv[1], sys.argv[2]
what = json.loads(sys.argv[3])
spec = {"version": 1, "run": run, "program": ["/usr/bin/id"], "environment": {}, "directory": "/usr", "input": {"text": ""},
        "level": "strict", "mounts": [], "run_as": {"uid": 2100500000, "gid": 2100500000}, "network": "none", "folders": [],
        "keep_out": [], "limits": {"wall_ms": 10000, "grace_ms": 0, "output_bytes": 1024, "memory_bytes": 1 << 28,
        "file_bytes": 1 << 20, "tasks": 64, "open_files": 256, "cpu_percent": None}}
step = what.pop("step", "program")
request = what.pop("request", {"start": {"run": run, "agent": "x", "step": step}})
spec.update(what)
if "start" in request and "/" not in step:
    open(f"{runs}/{run}/{step}.json", "w").write(json.dumps(spec))
s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect("/run/agentd/launch.sock")
s.sendall(json.dumps(request).encode() + b"\n"); s.shutdown(socket.SHUT_WR)
answer = b""
while True:
    more = s.recv(65536)
    if not more: break
    answer += more
print(answer.decode())
P
chmod 644 /tmp/hostile.py
ask() { as_daemon /usr/bin/python3 /tmp/hostile.py "$runs" "$run" "$1"; }
no_answer() { says "$1: refused" "$3" ask "$2"; }

no_answer "a run as root" '{"run_as": {"uid": 0, "gid": 0}}' refused
no_answer "a run as root's group" '{"run_as": {"uid": 2100500000, "gid": 0}}' refused
no_answer "a run as alice" "{\"run_as\": {\"uid\": $(id -u alice), \"gid\": $(id -u alice)}}" 'outside of'
no_answer "a run as the daemon" "{\"run_as\": {\"uid\": $(id -u _agentd), \"gid\": $(id -u _agentd)}}" 'outside of'
no_answer "a run with no user of its own" '{"run_as": null}' refused
no_answer "a run with the user of another run" "{\"run_as\": {\"uid\": $taken, \"gid\": $taken}}" "is the user of run $work.1"
no_answer "a weaker sandbox" '{"level": "landlock"}' weaker
no_answer "a place of the host to write to" '{"mounts": [{"source": "/srv", "target": "/srv", "access": "write"}]}' 'cannot be written'
for place in /etc/agentd /run/dbus /run /root /proc/1 /dev /var/lib/agentd/keys /var/lib/systemd; do
    no_answer "a sight of $place" "{\"mounts\": [{\"source\": \"$place\", \"target\": \"/mnt/x\", \"access\": \"read\"}]}" efused
done
no_answer "a sight of all" '{"mounts": [{"source": "/", "target": "/mnt", "access": "read"}]}' refused
ln -s /etc /srv/link
no_answer "a sight through a link" '{"mounts": [{"source": "/srv/link", "target": "/mnt/x", "access": "read"}]}' 'a link'
no_answer "a folder outside of the run" '{"folders": ["/etc/x"]}' efused
no_answer "a step outside of the run" '{"step": "../../../etc/x"}' refused
no_answer "a step with a word of a shell in it" '{"step": "a;id"}' refused
no_answer "a run with another name" '{"run": "w-bbbbbbbbbbbbbbbb.1"}' refused
no_answer "a contract of another version" '{"version": 9}' refused
no_answer "more memory than there are numbers" '{"limits": {"memory_bytes": 18446744073709551615}}' refused
no_answer "a request that is none" '{"request": {"reboot": {}}}' refused
check "a spec that is a link" as_daemon ln -s /etc/shadow "$runs/$run/shadow.json"
says "is not read" refused ask '{"request": {"start": {"run": "'$run'", "agent": "x", "step": "shadow"}}}'
check "a link to a secret in its folder" as_daemon ln -s /etc/shadow "$runs/$run/secret"
says "is not opened" 'failed' ask '{"request": {"open": {"run": "'$run'", "path": "secret"}}}'
says "nor a path that leads up" 'failed' ask '{"request": {"open": {"run": "'$run'", "path": "../../../../etc/shadow"}}}'
says "nor one from the root" 'failed' ask '{"request": {"open": {"run": "'$run'", "path": "/etc/shadow"}}}'
says "the run of alice is not removed while it lives" refused ask '{"request": {"remove": {"run": "'$work.1'", "units_only": false}}}'
check "it goes on" pgrep -fx 'sleep 600'

refute "it may not ask systemd itself" as_daemon busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StartTransientUnit 'ssa(sv)a(sa(sv))' x.service fail 0 0
refute "nor stop a run's unit" as_daemon systemctl --no-ask-password stop "$(run_unit "$work")"
refute "nor read secrets of the host" as_daemon cat /etc/shadow
refute "nor write where programs are" as_daemon touch /usr/libexec/agentd/x
refute "nor its own unit" as_daemon touch /usr/lib/systemd/system/agentd.service
for user in alice mallory; do refute "$user may not ask the launcher" as_user "$user" /usr/bin/python3 /tmp/hostile.py "$runs" "$run" '{"request": "probe"}'; done
says "a spec that was exchanged after it had been checked is none" exchanged \
    /usr/libexec/agentd/agentd-launch start --in-unit --sha256 00 --runs "$runs" --spec "$runs/$run/program.json" --record "$runs/$run/other"

# What it can do: programs of its choice, as users of the range, in the sandbox that all have.
says "the control: an honest request is granted" started ask '{"step": "honest", "program": ["/bin/sh", "-c", "id -u; cat /etc/shadow; ls /var/lib /home /root; echo x >/usr/x; kill -0 1"]}'
wait_until "and ends" 30 test -s "$runs/$run/honest/outcome.json"
equal "with a user of the range, which sees and reaches nothing" 2100500000 "$(tr -d '\n' <"$runs/$run/honest/stdout")"
check "the launcher lives" active agentd-launch.service
end
