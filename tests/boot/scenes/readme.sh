#!/bin/bash
# The operator's part of README.md, to the letter: every line of its examples is read from it and typed by a person at a fresh
# host. The person is alice, who may use sudo; each line is from a login of its own.
. /agentd/boot/lib.sh
. /agentd/boot/installed.sh
readme=/agentd/README.md
home=/home/alice/agentd
state() { dpkg-query -W -f '${db:Status-Status}' agentd 2>/dev/null; }

# sudo that asks for no password, as the images of clouds have it: a host of tests may have none.
useradd -m -s /bin/bash alice
install -o root -g alice -m 4750 /usr/bin/setpriv /usr/local/bin/raise
cat >/usr/local/bin/sudo <<'S'
#!/bin/sh
exec /usr/local/bin/raise --reuid 0 --regid 0 --clear-groups env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
S
chmod 755 /usr/local/bin/sudo
need "alice may use sudo" as_user alice sudo test -r /etc/shadow
# Images of containers forbid maintainer scripts to start anything.
rm -f /usr/sbin/policy-rc.d

# Her clone, where `make deb` was: it is of the binaries under test, and made before.
mkdir -p $home/target/package
cp $made/agentd_*.deb $home/target/package/
chown -R alice: $home

mapfile -t lines < <(sed -n '/^## Install it on a host/,/^## Use it/p' $readme | sed -n '/^```sh$/,/^```$/p' | grep -v '^```')
need "the README has ${#lines[@]} lines to type" test "${#lines[@]}" -ge 15
seen=''
# typed LINE: as alice; to what asks she says yes.
typed() { as_user alice bash -c "cd $home && $1" <<<y >/tmp/said 2>&1; }
# What is so after some of them, beside that they succeed.
after() {
    case $1 in
    *'apt install'*)
        equal "  it is installed" installed "$(state)"
        refute "  alice, who is in no group, may not submit yet" as_user alice agentctl submit 'May I' -q ;;
    *'enable --now agentd')
        check "  it runs" active agentd.service
        check "  and will after a boot" systemctl is-enabled --quiet agentd.service ;;
    *'Greet the world'*) says "  its answer" hello cat /tmp/said ;;
    *'systemctl status agentd') says "  it is shown" 'active (running)' cat /tmp/said ;;
    *list-units*) says "  the units are shown" agentd-launch.socket cat /tmp/said ;;
    *journalctl*) says "  the agent's lines are shown" greeter cat /tmp/said ;;
    *'enable --now agentd-agent@counter') check "  it runs" active agentd-agent@counter.service ;;
    *'Count what'*) check "  its answer is a number" grep -qxE '[0-9]+' /tmp/said ;;
    *'restart agentd') equal "  the run lives" "$sleeper" "$(alive)" ;;
    *'stop agentd-runs.slice') equal "  and then not" '' "$(alive)" ;;
    *"stop 'agentd*.socket' agentd.slice")
        refute "  no process of it is left" pgrep -u _agentd
        refute "  nor of its agents" active agentd-agent@counter.service
        # The promise beside it, and back to where it was.
        check "  systemctl start agentd brings it back" systemctl start agentd
        check "  for callers too" as_user alice agentctl status ;;
    *'apt remove'*)
        check "  the ledger stays" test -s /var/lib/agentd/ledger.db
        says "  which is said" 'the ledger stays' cat /tmp/said ;;
    *'apt purge'*)
        refute "  nothing of it stays" test -e /var/lib/agentd -o -e /etc/agentd
        says "  and what is deleted is said" 'purge deletes /var/lib/agentd (the ledger' cat /tmp/said ;;
    *) return ;;
    esac
    seen=$((seen + 1))
}
for line in "${lines[@]}"; do
    line=$(sed 's/  *# .*//' <<<"$line")
    [ -n "$line" ] || continue
    case $line in
    'make deb') ok "make deb, of the binaries under test"; continue ;;
    *'restart agentd')
        # A run that is there to be stopped, or not.
        enrol alice sleeper sleep 601
        work=$(submit alice sleeper)
        await "a run works" 60 is alice "$work" running
        await "its program lives" 60 pgrep -fx 'sleep 601'
        sleeper=$(alive) ;;
    esac
    if typed "$line"; then ok "$line"; else no "$line" "$(cat /tmp/said)"; fi
    after "$line"
done
equal "each thing that is looked at was typed" 13 "$seen"
end
