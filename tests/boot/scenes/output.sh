#!/bin/bash
# What programs say goes to a journal of its own as well, found by agent, work and run; who may not read it does not; and no
# run is held up where there is none.
. /agentd/boot/lib.sh
serve
need_units
printf 'echo first line; echo a complaint >&2; printf "\\0<0>spoofed\\n"; printf "no end"; sleep 600\n' >/tmp/talker
enrol alice talker sh -c "$(cat /tmp/talker)"
enrol alice other sh -c 'echo of another; sleep 600'
work=$(submit alice talker)
other=$(submit alice other)
for one in "$work" "$other"; do await "a run works" 60 is alice "$one" running; done
runs_journal() { journalctl -q --namespace agentd-runs "$@"; }
wait_until "what it says is in the journal of runs" 20 sh -c "journalctl -q --namespace agentd-runs WORK_ID=$work -o cat | grep -qx 'first line'"
says "found by its agent" 'first line' runs_journal AGENT_ID=talker -o cat
says "and its run" 'a complaint' runs_journal RUN_ID="$work.1" -o cat
silent "and no other's" 'of another' runs_journal WORK_ID="$work" -o cat
says "what it complains of is an error" 'a complaint' runs_journal WORK_ID="$work" -p err -o cat
silent "and nothing else is, whatever it says" spoofed runs_journal WORK_ID="$work" -p err -o cat
says "it is of the run's unit" "$(run_unit "$work")" runs_journal WORK_ID="$work" -o verbose
silent "the journal of the host has none of it" 'first line' journalctl -q -o cat
check "it is called off" ctl alice cancel "$work" --reason enough
wait_until "and a line without an end is told at the end" 20 sh -c "journalctl -q --namespace agentd-runs WORK_ID=$work -o cat | grep -qx 'no end'"
for user in alice mallory; do silent "$user reads none of it" 'line' as_user "$user" journalctl -q --namespace agentd-runs -o cat; done
usermod -aG systemd-journal olga
says "who is in systemd-journal does" 'first line' as_user olga journalctl -q --namespace agentd-runs -o cat
says "it has its own bounds" 'SystemMaxUse=256M' systemd-analyze cat-config systemd/journald@agentd-runs.conf

# No journal, and no run is harmed.
living=$(pids 'sleep 600')
check "the journal of runs is killed" systemctl kill --signal=KILL systemd-journald@agentd-runs.service
equal "and the run goes on" "$living" "$(pids 'sleep 600')"
check "it is called off too" ctl alice cancel "$other" --reason enough
wait_until "and over" 30 is alice "$other" cancelled
systemctl stop systemd-journald@agentd-runs.service systemd-journald@agentd-runs.socket systemd-journald-varlink@agentd-runs.socket
systemctl mask --quiet --runtime systemd-journald@agentd-runs.socket systemd-journald-varlink@agentd-runs.socket
work=$(submit alice talker)
wait_until "one without a journal begins" 60 is alice "$work" running
says "which the launcher tells" 'does not go to the journal' journalctl -q -u agentd-launch.service -o cat
systemctl unmask --quiet --runtime systemd-journald@agentd-runs.socket systemd-journald-varlink@agentd-runs.socket
mkdir -p /etc/systemd/system/agentd-launch.service.d
printf '[Service]\nExecStart=\nExecStart=/usr/libexec/agentd/agentd-launch serve --runs /var/lib/agentd/runs --caller _agentd --journal no\n' >/etc/systemd/system/agentd-launch.service.d/journal.conf
systemctl daemon-reload
systemctl restart agentd-launch.service
enrol alice silent sh -c 'echo not in the journal; sleep 600'
work=$(submit alice silent)
wait_until "where root wants none" 60 is alice "$work" running
equal "none is asked for" '' "$(prop "$(run_unit "$work")" LogNamespace)"
check "the ledger verifies" verified
end
