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
install -m 644 "$here/hostile.py" /tmp/hostile.py
hostile() { as_daemon /usr/bin/python3 /tmp/hostile.py "$@"; }
ask() { hostile ask "$runs" "$run" "$1"; }
no_answer() { says "$1: refused" "$3" ask "$2"; }

no_answer "a run as root" '{"run_as": {"uid": 0, "gid": 0}}' refused
no_answer "a run as root's group" '{"run_as": {"uid": 2100500000, "gid": 0}}' refused
no_answer "a run as alice" "{\"run_as\": {\"uid\": $(id -u alice), \"gid\": $(id -u alice)}}" 'outside of'
no_answer "a run as the daemon" "{\"run_as\": {\"uid\": $(id -u _agentd), \"gid\": $(id -u _agentd)}}" 'outside of'
no_answer "a run with no user of its own" '{"run_as": null}' refused
no_answer "a run with the user of another run" "{\"run_as\": {\"uid\": $taken, \"gid\": $taken}}" "is the user of run $work.1"
no_answer "a run with the user of trials" '{"run_as": {"uid": 2100999999, "gid": 2100999999}}' 'the user of trials'
no_answer "a weaker sandbox" '{"level": "landlock"}' weaker
no_answer "a place of the host to write to" '{"mounts": [{"source": "/srv", "target": "/srv", "access": "write"}]}' 'cannot be written'
# sight PATH: a run that would be shown this place.
sight() { printf '{"mounts": [{"source": "%s", "target": "/mnt/x", "access": "read"}]}' "$1"; }
ln -s /etc /srv/link
install -d /srv/shown /opt/tools
for place in /etc /etc/agentd /etc/shadow /run/dbus /run /root /proc/1 /dev /var/lib /var/lib/agentd/keys /var/lib/systemd /var/log \
    /var/spool /var/backups /home /home/alice /home/nobody-at-all /srv /srv/shown /srv/link /mnt /media /opt/tools /tmp /var/tmp/x; do
    no_answer "a sight of $place" "$(sight $place)" "not shown $place on this host; root allows it with --read-only"
done
no_answer "a sight of all" "$(sight /)" refused
no_answer "the network of the host" '{"network": "host"}' '--network host'
no_answer "more memory than a run has" '{"limits": {"memory_bytes": 17179869184}}' '--max-memory'
no_answer "more processes than a run has" '{"limits": {"tasks": 100000}}' '--max-tasks'
no_answer "more time than a run has" '{"limits": {"wall_ms": 2500000000}}' '--max-wall'
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

# transient UNIT: asks systemd for a unit that leaves a file.
transient() {
    printf '%s\0' busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StartTransientUnit \
        'ssa(sv)a(sa(sv))' "$1" fail 2 Type s oneshot ExecStart 'a(sasb)' 1 /bin/touch 2 /bin/touch "/srv/$1" false 0
}
mapfile -d '' -t asked < <(transient by-daemon.service)
says "it may not ask systemd itself" 'Interactive authentication required' as_daemon "${asked[@]}"
refute "and nothing is started" test -e /srv/by-daemon.service
mapfile -d '' -t asked < <(transient by-root.service)
check "the control: root asks the same" "${asked[@]}"
wait_until "and it is started" 20 test -e /srv/by-root.service
refute "nor stop a run's unit" as_daemon systemctl --no-ask-password stop "$(run_unit "$work")"
refute "nor read secrets of the host" as_daemon cat /etc/shadow
refute "nor write where programs are" as_daemon touch /usr/libexec/agentd/x
refute "nor its own unit" as_daemon touch /usr/lib/systemd/system/agentd.service
for user in alice mallory; do refute "$user may not ask the launcher" as_user "$user" /usr/bin/python3 /tmp/hostile.py ask "$runs" "$run" '{"request": "probe"}'; done
says "a spec that was exchanged after it had been checked is none" exchanged \
    /usr/libexec/agentd/agentd-launch start --in-unit --sha256 00 --runs "$runs" --spec "$runs/$run/program.json" --record "$runs/$run/other"

# What it can do: programs of its choice, as users of the range, in the sandbox that all have.
says "the control: an honest request is granted" started ask '{"step": "honest", "program": ["/bin/sh", "-c", "id -u; cat /etc/shadow; ls /var/lib /home /root; echo x >/usr/x; kill -0 1"]}'
wait_until "and ends" 30 test -s "$runs/$run/honest/outcome.json"
equal "with a user of the range, which sees and reaches nothing" 2100500000 "$(tr -d '\n' <"$runs/$run/honest/stdout")"

# Who has the folders exchanges them while the launcher is at them: links, pipes, other folders. What is root's stays root's.
install -d "$runs/../canary"
echo root >"$runs/../canary/file"
canary() { stat -c '%n %u %g %a %h' "$runs/../canary" "$runs/../canary/file"; ls -A "$runs/../canary"; cat "$runs/../canary/file"; }
before=$(canary)
said=$(hostile starts "$runs" "$(realpath "$runs/../canary")" 12)
echo "starts of folders that are exchanged: $said"
says "folders that are exchanged in a start: it is refused" '"refused"' echo "$said"
silent "and no start goes without an answer" nothing echo "$said"
equal "nothing of root's is changed" "$before" "$(canary)"
says "the control: a launcher that goes by paths gives away what is root's" won sh -c "
    python3 /tmp/hostile.py naive $runs $(id -u _agentd) & naive=\$!
    setpriv --reuid _agentd --regid _agentd --clear-groups python3 /tmp/hostile.py watch $runs $runs/../canary/file 60
    kill \$naive"
chown root:root "$runs/../canary/file"
probes() { while :; do hostile ask "$runs" "$run" '{"request": "probe"}'; done; }
probes >/dev/null 2>&1 & asking=$!
says "and ours, which is asked for trials, makes nothing where the daemon could get at it" 'not won, and 0 folders came' \
    hostile watch "$runs" "$runs/../canary/file" 5
trials=/run/agentd-launch/trials
wait_until "the control: trials are made meanwhile, elsewhere" 20 sh -c "[ -n \"\$(ls -A $trials)\" ]"
refute "where the daemon makes nothing" as_daemon mkdir "$trials/x"
refute "nor moves it" as_daemon mv "$trials" "$trials.x"
kill $asking
equal "nothing of root's is changed" "$before" "$(canary)"
check "its runs are no other place" as_daemon sh -c "mv $runs $runs.x && ln -s /var $runs"
systemctl restart agentd-launch.service
no_answer "and none is given where they lead" '{"request": "probe"}' 'no folder of the daemon'
launcher=$(prop agentd-launch.service MainPID)
check "the launcher can write to the folders of runs" nsenter -t "$launcher" -m -- touch "$runs.x/probe"
for place in /var/lib/systemd /run/systemd/system /etc /tmp; do refute "nor can the launcher write to $place" nsenter -t "$launcher" -m -- touch "$place/x"; done
check "they are back" as_daemon sh -c "rm $runs && mv $runs.x $runs"

# The user of a run of which nothing is left is another's; its folder alone tells nothing.
as_uid() { printf '{"step": "%s", "program": ["/bin/sleep", "60"], "run_as": {"uid": 2100500001, "gid": 2100500001}}' "$1"; }
gone=w-cccccccccccccccc.1
check "another run" as_daemon mkdir -m 711 "$runs/$gone"
says "has a user" started hostile ask "$runs" "$gone" "$(as_uid program)"
check "and its folder is moved away" as_daemon mv "$runs/$gone" "$runs/.away"
no_answer "its user while it lives" "$(as_uid stolen)" "is the user of run $gone"
check "it ends" systemctl stop "agentd-run-$gone.service"
says "then its user is free" started ask "$(as_uid given)"

# What root allows more, in a drop-in: that, and nothing beside it.
mkdir -p /etc/systemd/system/agentd-launch.service.d
cat >/etc/systemd/system/agentd-launch.service.d/allow.conf <<'D'
[Service]
ExecStart=
ExecStart=/usr/libexec/agentd/agentd-launch serve --runs /var/lib/agentd/runs --caller _agentd --network host --max-memory 32G --read-only /srv/shown --read-only /tmp/shown --read-only /home
D
systemctl daemon-reload
systemctl restart agentd-launch.service
install -d /tmp/shown
echo models >/srv/shown/file
echo temporary >/tmp/shown/file
# reads STEP PATH: a run that reads a file of a place that it asks for.
reads() { ask '{"step": "'"$1"'", "program": ["/bin/cat", "/mnt/x/file"], "mounts": [{"source": "'"$2"'", "target": "/mnt/x", "access": "read"}]}'; }
for place in srv tmp; do
    says "root allows /$place/shown" started reads "$place" "/$place/shown"
    wait_until "and it ends" 30 test -s "$runs/$run/$place/outcome.json"
    equal "having read it" "$(cat "/$place/shown/file")" "$(cat "$runs/$run/$place/stdout" "$runs/$run/$place/shim.log")"
done
ln -s /etc /srv/shown/link
no_answer "a link in it" "$(sight /srv/shown/link)" 'a link on the way'
silent "which tells nobody where it leads" /etc ask "$(sight /srv/shown/link)"
for place in /srv /srv/showns /tmp /home/alice /home; do no_answer "a sight of $place beside it" "$(sight $place)" '--read-only'; done
says "and the network" started ask '{"step": "net", "program": ["/bin/cat", "/proc/net/dev"], "network": "host", "limits": {"memory_bytes": 17179869184}}'
check "the launcher lives" active agentd-launch.service
end
