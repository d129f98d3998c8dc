#!/bin/bash
# agentd of one person, as a service of theirs: on the session bus, and awake while runs work.
. /agentd/boot/lib.sh
/agentd/boot/install.sh || exit 1
# The session bus by its address, as a login would have it.
alice() { as_user alice DBUS_SESSION_BUS_ADDRESS="unix:path=/run/user/$(id -u alice)/bus" "$@"; }
held() { systemd-inhibit --list --no-legend | grep -q "^agentd "; }
let_go() { ! held; }

need "alice lingers" loginctl enable-linger alice
await "her user manager is there" 30 alice systemctl --user is-system-running --wait
need "systemctl --user enable --now agentd" alice systemctl --user enable --now agentd.service
says "agentctl finds it by itself" '"mode":"session"' alice bash -c 'agentctl status --json | tr -d " \n"'
says "on the session bus" "answers at session bus" alice agentctl doctor
says "its sockets are in her runtime directory" "/run/user/$(id -u alice)/agentd/control.sock" find "/run/user/$(id -u alice)/agentd"
says "doctor knows that she lingers" "go on after the last logout" alice agentctl doctor
# logind would end her manager at once: nobody is logged in. So the file alone is away for a moment.
mv /var/lib/systemd/linger/alice /tmp/
says "and says when runs end if she does not" "loginctl enable-linger" alice agentctl doctor
mv /tmp/alice /var/lib/systemd/linger/
refute "nobody else reaches it" as_user bob /usr/bin/agentctl --address "unix:path=/run/user/$(id -u alice)/agentd/control.sock" status

check "she enrols an agent" alice agentctl agent enroll keeper --skill waiting -q
cat >/usr/local/bin/until-told <<'P'
#!/bin/sh
while [ ! -e /tmp/told ]; do sleep .1; done
echo '{"done": true}'
P
chmod 755 /usr/local/bin/until-told
alice agentctl agent serve keeper --once -- /usr/local/bin/until-told &
agent=$!
refute "without runs the machine may sleep" held
work=$(alice agentctl submit "Wait" --skill waiting -q)
wait_until "while a run works the machine is kept awake" 20 held
touch /tmp/told
wait "$agent"
wait_until "when it is over the machine may sleep again" 40 let_go

check "a restart finds its state" alice systemctl --user restart agentd.service
says "and the work in it" completed alice agentctl work show "$work"
check "systemd finds nothing wrong with the unit" alice systemd-analyze verify --man=no --user /usr/lib/systemd/user/agentd.service
end
