#!/bin/bash
# The key-encryption key is rotated by a unit: the daemon starts anew under the next one, and runs go on.
. /agentd/boot/lib.sh
serve
need_units
store=/etc/credstore.encrypted rotate=agentd-credentials-rotate.service
# under: the key that each key file says it is under.
under() { sed -n '1s/.*kek=\([^ ]*\).*/\1/p' /var/lib/agentd/keys/{authority,issuer,log} | sort -u; }
said() { journalctl -u $rotate -o cat -n 20; }

check "systemd finds no fault in the unit" systemd-analyze verify --man=no /usr/lib/systemd/system/$rotate
enrol alice sleeper sh -c "sleep 600; echo '\"done\"'"
work=$(submit alice sleeper)
await "a run works" 60 is alice "$work" running
await "its program lives" 60 pgrep -fx 'sleep 600'
pid=$(pids 'sleep 600')
refute "alice may not rotate" as_user alice systemctl --no-ask-password start $rotate
equal "so nothing was" inactive "$(prop $rotate ActiveState)"

first=$(under)
equal "all keys are under one" 1 "$(wc -w <<<"$first")"
for round in first second; do
    daemon=$(prop agentd.service MainPID)
    check "a $round rotation" systemctl start $rotate
    equal "all keys are under one" 1 "$(under | wc -w)"
    refute "which is another" test "$(under)" = "$first"
    refute "the daemon is a new one" test "$(prop agentd.service MainPID)" = "$daemon"
    check "which answers" ctl alice status
    equal "the run is the same process" "$pid" "$(pids 'sleep 600')"
    first=$(under)
done
equal "the credential is root's" "600 root" "$(stat -c '%a %U' $store/agentd.kek)"

sockets="agentd.socket agentd-agents.socket agentd-metrics.socket"
check "with the daemon stopped" systemctl stop agentd.service $sockets
check "it rotates too" systemctl start $rotate
equal "and starts none" inactive "$(prop agentd.service ActiveState)"
equal "what is there stays under the one before" "$first" "$(under)"
refute "until it has started nothing is rotated again" systemctl start $rotate
says "which is said, with what to do" 'systemctl restart agentd' said
systemctl reset-failed $rotate
check "the daemon starts" systemctl start $sockets agentd.service
refute "and all is under the new one" test "$(under)" = "$first"

first=$(under)
mv $store/agentd.kek /root/
daemon=$(prop agentd.service MainPID)
refute "without a key there is none to rotate" systemctl start $rotate
says "which is said" 'credentials provision' said
equal "and the daemon is left alone" "$daemon" "$(prop agentd.service MainPID)"
mv /root/agentd.kek $store/

kill "$pid"
wait_until "the run comes to its end" 30 is alice "$work" completed
equal "at its one attempt" 1 "$(ctl alice work show "$work" --json | json 'len(it["runs"])')"
check "the ledger verifies" verified
end
