#!/bin/bash
# Works that ask for more than the launcher's own unit allows: they wait, use up no attempt and keep nobody else waiting, until root
# allows it. Without a launcher's service nothing of this is held by anybody.
. /agentd/boot/lib.sh
serve
need_units
sed -i 's/^\[runs\]$/&\nsetup_egress = "host"/' /etc/agentd/agentd.toml
check "the configuration lets setups have the network" systemctl restart agentd.service

# agent NAME LINE…: an agent of alice with these lines in its document.
agent() {
    printf '%s\n' "name = \"$1\"" 'command = ["sh", "-c", "cat net 2>/dev/null; echo done"]' "${@:2}" >"/home/alice/$1.toml"
    check "$1 is enrolled" ctl alice agent enroll --file "/home/alice/$1.toml"
}
agent plain
agent large '[resources]' 'memory_max = "9G"'
agent many '[resources]' 'tasks_max = 5000'
install -d /srv/models
agent curious '[sandbox]' 'read_only_paths = ["/srv/models"]'
# A place in a home, and nothing else of it: the home itself is closed to others, the place is open.
install -d -m 755 -o alice -g alice /home/alice/data
install -d -m 755 /root/shared
echo 'of alice' >/home/alice/data/file
echo 'of root' >/root/shared/file
tee /home/alice/secret /root/secret <<<secret >/dev/null
chmod 644 /home/alice/secret /root/secret
chmod 700 /home/alice /root
printf '%s\n' 'name = "guest"' 'command = ["sh", "-c", "cat /home/alice/data/file /root/shared/file; cat /home/alice/secret /root/secret; ls /home /home/alice /root; echo x 2>/dev/null >/home/alice/data/new; true"]' \
    '[sandbox]' 'read_only_paths = ["/home/alice/data", "/root/shared"]' >/home/alice/guest.toml
check "guest is enrolled" ctl alice agent enroll --file /home/alice/guest.toml
# Of one agent, the first two works ask for too much, and the third does not.
printf '%s\n' 'title = "online"' 'agent = "plain"' 'limits.max_attempts = 1' '[workspace]' \
    'setup = "grep -v -e lo: -e Inter -e face /proc/net/dev | cut -d: -f1 >net"' 'setup_egress = "host"' >/home/alice/online.toml
chown alice:alice /home/alice/*.toml
online=$(ctl alice submit --file /home/alice/online.toml -q) || no "a work with the network is submitted" "$online"
long=$(submit alice plain --timeout 8d)
large=$(submit alice large) many=$(submit alice many) curious=$(submit alice curious) guest=$(submit alice guest)
plain=$(submit alice plain)
wait_until "a work that asks for no more passes those that do" 60 is alice "$plain" completed

# waits WORK WORD: it does, nothing of it began, and who asks learns the word that allows it, and where root writes it.
waits() {
    local said text
    wait_until "the work that wants $2 waits" 30 is alice "$1" ready
    said=$(ctl alice why "$1" 2>&1)
    for text in "$2" agentd-launch.service 'systemctl edit agentd-launch.service'; do
        says "and is told $text" "$text" echo "$said"
    done
    equal "no attempt of it was used up" '[0, 0]' "$(ctl alice work show "$1" --json | json '[it["attempts"], len(it["runs"])]')"
}
waits "$online" '--network host'
waits "$long" '--max-wall'
waits "$large" '--max-memory'
waits "$many" '--max-tasks'
waits "$curious" '--read-only'
waits "$guest" '--read-only'
said=$(ctl alice status)
says "status says that works wait, and where it is said why" 'works wait: this host cannot start the program' echo "$said"
silent "and tells nobody what they ask for" '/srv/models' echo "$said"
says "for monitoring that is a warning, for others go on" 'WARNING: works wait' ctl alice status --check

mkdir -p /etc/systemd/system/agentd-launch.service.d
printf '%s\n' '[Service]' 'ExecStart=' 'ExecStart=/usr/libexec/agentd/agentd-launch serve --runs /var/lib/agentd/runs --caller _agentd --network host --max-wall 9d --max-memory 9G --max-tasks 5000 --read-only /srv/models --read-only /home/alice/data --read-only /root/shared' \
    >/etc/systemd/system/agentd-launch.service.d/allow.conf
systemctl daemon-reload
check "root allows more" systemctl restart agentd-launch.service
for work in "$online" "$long" "$large" "$many" "$curious" "$guest"; do
    wait_until "then $work is done" 90 is alice "$work" completed
    equal "at its first attempt" 1 "$(ctl alice work show "$work" --json | json 'it["attempts"]')"
done
said=$(ctl alice work output "$guest" 2>&1)
says "a place in a home is read, and one in root's" $'of alice\nof root' echo "$said"
equal "and of homes nothing else is seen" "of alice|of root" "$(paste -sd'|' <<<"$said")"
refute "nor written" test -e /home/alice/data/new
equal "at the level of this host, where systemd made them" "$(level)" "$(ctl alice work show "$guest" --json | json 'it["runs"][0]["confinement"]["level"]')"
silent "and nobody complains any more" 'works wait' ctl alice status
check "the ledger verifies" verified
end
