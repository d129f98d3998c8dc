#!/bin/bash
# The life of the package: install, first submit, a resident agent, upgrades while runs work, a disk that fills, a version
# that does not start, remove, install again, purge, and all of it where no manager runs.
. /agentd/boot/lib.sh
. /agentd/boot/installed.sh
export DEBIAN_FRONTEND=noninteractive
deb=$(echo $made/agentd_*.deb)
version=$(dpkg-deb -f "$deb" Version)
sockets="agentd.socket agentd-agents.socket agentd-metrics.socket agentd-launch.socket"
resident=agentd-agent@counter.service
state() { dpkg-query -W -f '${db:Status-Status} ${Version}' agentd; }
# with_version VERSION: a deb of the same files, in /tmp.
with_version() {
    [ -d /tmp/unpacked ] || dpkg-deb -R "$deb" /tmp/unpacked
    sed -i "s/^Version: .*/Version: $1/" /tmp/unpacked/DEBIAN/control
    dpkg-deb --root-owner-group -Znone -b /tmp/unpacked "/tmp/agentd_$1.deb" >/dev/null
    echo "/tmp/agentd_$1.deb"
}
install_deb() { apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$1"; }
# counts: whether the resident agent does the next work.
counts() {
    local work
    work=$(ctl alice submit 'Count the sheep' --skill count --max-attempts 1 -q)
    await "the resident agent does its work" 60 is alice "$work" completed
}
units() { (cd /usr/lib/systemd/system && ls -d agentd* | sed 's/@\./@counter./'); }

# Images of containers forbid maintainer scripts to start anything.
rm -f /usr/sbin/policy-rc.d

echo "== install"
need "apt installs it" install_deb "$deb"
equal "it is there" "installed $version" "$(state)"
for group in agentd agentd-operator agentd-audit _agentd; do check "group $group" getent group $group; done
equal "the daemon's user has no shell" /usr/sbin/nologin "$(getent passwd _agentd | cut -d: -f7)"
equal "the state is the daemon's, and passable" "_agentd 711" "$(stat -c '%U %a' /var/lib/agentd)"
equal "the folder of the sockets is root's" "root 755" "$(stat -c '%U %a' /run/agentd)"
equal "the launcher's socket is the daemon's alone" "root:_agentd 660" "$(stat -c '%U:%G %a' /run/agentd/launch.sock)"
for unit in $sockets; do
    check "$unit is enabled" systemctl is-enabled --quiet $unit
    check "$unit listens" active $unit
done
refute "no daemon runs before it is asked for" active agentd.service
useradd -m -s /bin/bash -G agentd alice
check "the first call starts it" ctl alice status
check "it runs" active agentd.service
check "until it is stopped" systemctl stop --quiet agentd.service
equal "systemd $(systemd_version) finds no fault in any unit" '' "$(systemd-analyze verify --man=no --recursive-errors=no $(units) 2>&1)"
check "nor in that of users" env XDG_RUNTIME_DIR=/run systemd-analyze verify --man=no --user /usr/lib/systemd/user/agentd.service
if grep -q apparmor /etc/agentd-tree 2>/dev/null; then # Debian 12 has a parser that does not know the rule
    check "AppArmor's parser takes the profile, which is in its place" apparmor_parser -Q -K /etc/apparmor.d/agentd-shim
    sed 's/userns,/userspaces,/' /etc/apparmor.d/agentd-shim >/tmp/profile
    refute "and not one with a mistake" apparmor_parser -Q -K /tmp/profile
fi
# Slim images have dpkg leave manuals out.
if ! grep -qrs '^path-exclude.*/usr/share/man' /etc/dpkg/dpkg.cfg.d; then
    for page in man1/agentctl.1 man1/agentctl-submit.1 man8/agentd.8 man8/agentd-launch.8 man8/agentd-shim.8; do check "a manual page $page" test -s "/usr/share/man/$page.gz"; done
fi
check "completions for bash" bash -c '. /usr/share/bash-completion/completions/agentctl && complete -p agentctl'
check "installing it again changes nothing" dpkg -i "$deb"

echo "== first submit"
make_room
need "systemctl enable --now agentd" systemctl enable --now agentd
check "it runs" active agentd
equal "as its user" _agentd "$(ps -o user= -p "$(prop agentd MainPID)" | tr -d ' ')"
says "without a capability" $'CapBnd:\t0000000000000000' cat "/proc/$(prop agentd MainPID)/status"
waiting=$(ctl alice submit 'Summarise README.md' --skill text --accept-by-person -q)
check "alice submits, and finds her work" is alice "$waiting" parked

echo "== a resident agent"
need "alice enrols it" ctl alice agent enroll counter --skill count --key-dir /home/alice/counter -q
mkdir -p /etc/credstore.encrypted /etc/agentd/resident
need "its key becomes a credential" systemd-creds encrypt --name=key /home/alice/counter/id_ed25519 /etc/credstore.encrypted/agentd-agent.counter
echo 'AGENT_COMMAND=/bin/echo 38' >/etc/agentd/resident/counter.conf
need "systemctl enable --now agentd-agent@counter" systemctl enable --now agentd-agent@counter
counts
agent=$(prop $resident MainPID)

echo "== upgrade while runs work"
load
daemon=$(prop agentd MainPID)
systemctl disable --quiet --now agentd-metrics.socket
echo '# kept by the operator' >>/etc/agentd/agentd.toml
check "apt upgrades it" install_deb "$(with_version "$version+1")"
equal "it is there" "installed $version+1" "$(state)"
check "the daemon runs" active agentd
refute "it is a new one" test "$(prop agentd MainPID)" = "$daemon"
undisturbed
check "and again, in the midst of it" dpkg -i "/tmp/agentd_$version+1.deb"
systemctl reset-failed agentd.service agentd-launch.service 2>/dev/null # or it counts as started too often
undisturbed
settle
equal "the resident agent is the same process" "$agent" "$(prop $resident MainPID)"
counts
check "the work from before is there" is alice "$waiting" parked
check "the operator's configuration too" grep -q 'kept by the operator' /etc/agentd/agentd.toml
refute "a socket that was disabled stays so" systemctl is-enabled --quiet agentd-metrics.socket
check "the daemon is still enabled" systemctl is-enabled --quiet agentd
check "the ledger verifies" ctl root ledger verify --deep
rm "/tmp/agentd_$version+1.deb"

echo "== the disk fills during an upgrade"
newer=$(with_version "$version+2")
daemon=$(prop agentd MainPID)
bustle
crowd /usr/libexec/agentd
refute "the upgrade fails" keep dpkg -i "$newer"
told "No space left on device"
told "This version is as it was"
equal "the version before is there" "installed $version+1" "$(state)"
check "whole" diff -r /tmp/before /usr/libexec/agentd
equal "the daemon was not stopped" "$daemon" "$(prop agentd MainPID)"
undisturbed
settle
relieve /usr/libexec/agentd
check "with room, nothing waits to be configured" dpkg --configure -a
equal "and the version before stays" "installed $version+1" "$(state)"
check "until the upgrade is made" dpkg -i "$newer"
equal "it is there" "installed $version+2" "$(state)"
check "the daemon runs" active agentd
undisturbed
rm "$newer"

echo "== a new version that does not start"
newer=$(with_version "$version+3")
mkdir -p /run/systemd/system/agentd.service.d
printf '[Service]\nExecStartPre=/bin/false\nRestart=no\n' >/run/systemd/system/agentd.service.d/broken.conf
check "the upgrade is made" keep dpkg -i "$newer"
told "the new version did not start, and runs go on without it"
equal "and they do" "$living" "$(alive)"
rm -r /run/systemd/system/agentd.service.d "$newer"
systemctl daemon-reload
systemctl reset-failed agentd.service
check "repaired, it starts" systemctl restart agentd
undisturbed
release

echo "== remove"
last
check "apt removes it" keep apt-get remove -y agentd
told "the ledger stays in /var/lib/agentd"
check "the ledger is there" test -s /var/lib/agentd/ledger.db
check "the configuration too" grep -q 'kept by the operator' /etc/agentd/agentd.toml
refute "no process of it is left" pgrep -u _agentd
equal "no run is left" '' "$(alive)"
refute "nor the resident agent" test -e "/proc/$agent"
absent /run/agentd/control.sock
# What booted the host has names of its own, beside agentd's.
equal "no unit is left" '' "$(systemctl list-units --no-legend --plain 'agentd*' | grep -v -e '^agentd-boot' -e '\.mount ' -e ' failed ')"
systemctl reset-failed

echo "== install again"
check "apt installs it" install_deb "$deb"
check "the daemon starts" systemctl start agentd
check "the work is there" is alice "$waiting" parked
wait_until "works whose runs were ended are over" 60 all_over "${lasting[@]}"
check "the resident agent starts" systemctl start $resident
counts
check "the ledger verifies" ctl root ledger verify --deep

echo "== purge"
systemctl mask --quiet agentd-metrics.socket
mkdir -p /etc/systemd/system/agentd.service.d
ln -s /usr/share/agentd/systemd/notify-reload.conf /etc/systemd/system/agentd.service.d/
mkdir /etc/systemd/system/$resident.d
echo '# of the operator' >/etc/systemd/system/$resident.d/own.conf
check "apt purges it" keep apt-get purge -y agentd
told "purge deletes /var/lib/agentd (the ledger"
told "purge deletes /etc/agentd (configuration"
told "purge deletes /etc/credstore.encrypted/agentd-agent.counter (the key of a resident agent"
told "purge deletes /etc/systemd/system/multi-user.target.wants/$resident (the link that starts it)"
told "$resident.d stays"
absent /var/lib/agentd /etc/agentd /run/agentd /var/lib/agentd-agent /etc/systemd/system/agentd.service.d
equal "no link to a unit is left" '' "$(find /etc/systemd/system /etc/systemd/user -name 'agentd*' -type l; find /etc/systemd -lname '*agentd*')"
absent /etc/systemd/system/agentd-agents.socket.wants
equal "nor a credential" '' "$(find /etc/credstore.encrypted -name 'agentd*')"
equal "dpkg knows it no more" '' "$(dpkg-query -W -f '${db:Status-Status}' agentd 2>/dev/null)"
check "what the operator wrote stays" rm -r /etc/systemd/system/$resident.d

echo "== after a purge, from nothing"
check "apt installs it" install_deb "$deb"
check "the daemon starts" systemctl enable --now agentd
equal "with a ledger of its own" 0 "$(works)"
check "apt purges it" apt-get purge -y agentd

echo "== where nothing may be started or stopped"
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
check "apt installs it" install_deb "$deb"
refute "and started nothing" active agentd.socket
check "apt upgrades it" install_deb "$(with_version "$version+5")"
rm "/tmp/agentd_$version+5.deb"
check "by hand it starts" systemctl start agentd
check "and answers" ctl root status
check "apt purges it" keep apt-get purge -y agentd
told "purge deletes /var/lib/agentd (the ledger"
absent /var/lib/agentd /etc/agentd
equal "dpkg knows it no more" '' "$(dpkg-query -W -f '${db:Status-Status}' agentd 2>/dev/null)"
systemctl stop agentd.slice 2>/dev/null # what a policy keeps from ending, root ends
systemctl stop 'agentd*.socket' 2>/dev/null
rm -rf /var/lib/agentd /run/agentd
systemctl reset-failed
rm /usr/sbin/policy-rc.d

echo "== where no manager runs"
unmanaged() { unshare --mount sh -c 'mount -t tmpfs none /run && exec "$@"' sh "$@"; }
check "dpkg installs it" unmanaged dpkg -i "$deb"
for unit in $sockets; do check "$unit is enabled" systemctl is-enabled --quiet $unit; done
refute "nothing was started" active agentd.socket
check "dpkg upgrades it" unmanaged dpkg -i "$(with_version "$version+4")"
check "dpkg purges it" unmanaged dpkg --purge agentd
end
