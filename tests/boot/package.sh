#!/bin/bash
# tests/boot/package.sh DEB
# The life of the package on a host that systemd booted: install, first submit, upgrade while a run works, an upgrade whose
# disk fills, remove, install again, purge, and all of it where no manager runs. It changes the host: for throw-away roots
# (with-systemd) alone. Prints each thing that holds; ends with 1 at the first that does not.
set -euo pipefail
[ $# = 1 ] && [ -f "$1" ] || { sed -n 2,5p "$0" >&2; exit 64; }
[ "$(id -u)" = 0 ] && [ -d /run/systemd/system ] || { echo "needs root and a booted systemd" >&2; exit 77; }
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
deb=$(realpath "$1")
. "$(dirname "$(realpath "$0")")/installed.bash"
cd "$work"

state() { dpkg-query -W -f '${db:Status-Status} ${Version}' agentd; }
# A deb of the same files with another version.
with_version() {
    [ -d unpacked ] || dpkg-deb -R "$deb" unpacked
    sed -i "s/^Version: .*/Version: $1/" unpacked/DEBIAN/control
    dpkg-deb --root-owner-group -Zgzip -z1 -b unpacked "agentd_$1.deb" >/dev/null
    echo "$work/agentd_$1.deb"
}

# Images of containers forbid maintainer scripts to start anything.
rm -f /usr/sbin/policy-rc.d
version=$(dpkg-deb -f "$deb" Version)
sockets="agentd.socket agentd-agents.socket agentd-metrics.socket agentd-launch.socket"

echo "== install"
check "apt installs it" apt-get install -y --no-install-recommends "$deb"
check "it is there" same "$(state)" "installed $version"
for group in agentd agentd-operator agentd-audit _agentd; do check "group $group" getent group $group; done
check "the daemon's user has no shell" same "$(getent passwd _agentd | cut -d: -f7)" /usr/sbin/nologin
check "the state is the daemon's, and passable" same "$(stat -c '%U %a' /var/lib/agentd)" "_agentd 711"
check "the folder of the sockets is root's" same "$(stat -c '%U %a' /run/agentd)" "root 755"
check "the launcher's socket is the daemon's alone" same "$(stat -c '%U:%G %a' /run/agentd/launch.sock)" "root:_agentd 660"
for unit in $sockets; do
    check "$unit is enabled" systemctl is-enabled --quiet $unit
    check "$unit listens" systemctl is-active --quiet $unit
done
refute "no daemon runs before it is asked for" systemctl is-active --quiet agentd.service
useradd -m -G agentd alice
check "the first call starts it" as alice AGENTD_ADDRESS=/run/agentd/control.sock agentctl status
check "it runs" systemctl is-active --quiet agentd.service
check "until it is stopped" systemctl stop --quiet agentd.service
check "a manual page for agentctl" man -w agentctl
check "a manual page for each command" man -w agentctl-submit
check "completions for bash" bash -c '. /usr/share/bash-completion/completions/agentctl && complete -p agentctl'
check "installing it again changes nothing" dpkg -i "$deb"

echo "== first submit"
check "systemctl enable --now agentd" systemctl enable --now agentd
check "it runs" systemctl is-active --quiet agentd
check "as its user" same "$(ps -o user= -p "$(pid agentd)" | tr -d ' ')" _agentd
check "without a capability" grep -qx 'CapBnd:	0000000000000000' "/proc/$(pid agentd)/status"
check "alice asks for the status" as alice agentctl status
check "alice submits" as alice agentctl submit 'Summarise README.md' --skill text --accept-by-person
check "and finds her work" same "$(works)" 1

echo "== upgrade while a run works"
systemd-run --quiet --slice=agentd-runs.slice --unit=agentd-run-probe sleep infinity
run=$(pid agentd-run-probe)
daemon=$(pid agentd)
systemctl disable --quiet --now agentd-metrics.socket
echo '# kept by the operator' >>/etc/agentd/agentd.toml
check "apt upgrades it" apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$(with_version "$version+1")"
check "it is there" same "$(state)" "installed $version+1"
check "the daemon runs" systemctl is-active --quiet agentd
refute "it is a new one" same "$(pid agentd)" "$daemon"
check "the run works on" same "$(pid agentd-run-probe)" "$run"
check "the work is there" same "$(works)" 1
check "the operator's configuration too" grep -q 'kept by the operator' /etc/agentd/agentd.toml
refute "a socket that was disabled stays so" systemctl is-enabled --quiet agentd-metrics.socket
check "the daemon is still enabled" systemctl is-enabled --quiet agentd

echo "== the disk fills during an upgrade"
newer=$(with_version "$version+2")
daemon=$(pid agentd)
cp -a /usr/libexec/agentd libexec
mount -t tmpfs -o "size=$(($(du -sk libexec | cut -f1) + 512))k,mode=755" tmpfs /usr/libexec/agentd
cp -a libexec/. /usr/libexec/agentd/
refute "the upgrade fails" dpkg -i "$newer"
keep
told "No space left on device"
told "This version is as it was"
check "the version before is there whole" same "$(state)" "installed $version+1"
check "with its programs" diff -r libexec /usr/libexec/agentd
check "the daemon was not stopped" same "$(pid agentd)" "$daemon"
check "it answers" as alice agentctl status
umount -l /usr/libexec/agentd
check "with room the upgrade is made" dpkg -i "$newer"
check "it is there" same "$(state)" "installed $version+2"
check "the daemon runs" systemctl is-active --quiet agentd
check "the run works on" same "$(pid agentd-run-probe)" "$run"

echo "== a new version that does not start"
mkdir -p /run/systemd/system/agentd.service.d
printf '[Service]\nExecStartPre=/bin/false\nRestart=no\n' >/run/systemd/system/agentd.service.d/broken.conf
check "the upgrade is made" dpkg -i "$(with_version "$version+3")"
keep
told "the new version did not start, and runs go on without it"
check "the run works on" same "$(pid agentd-run-probe)" "$run"
rm /run/systemd/system/agentd.service.d/broken.conf
systemctl daemon-reload
check "repaired, it starts" systemctl restart agentd

echo "== remove"
check "apt removes it" apt-get remove -y agentd
keep
told "the ledger stays in /var/lib/agentd"
check "the ledger is there" test -s /var/lib/agentd/ledger.db
check "the configuration too" grep -q 'kept by the operator' /etc/agentd/agentd.toml
refute "no process of it is left" pgrep -u _agentd
refute "no run is left" test -e "/proc/$run"
refute "no socket listens" test -e /run/agentd/control.sock
# What booted the host has names of its own, beside agentd's.
left=$(systemctl list-units --no-legend --plain 'agentd*' | grep -v -e '^agentd-boot' -e '\.mount ' -e ' failed ' || true)
check "no unit is left that failed to stop" same "$left" ""
systemctl reset-failed

echo "== install again"
check "apt installs it" apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$deb"
check "the daemon starts" systemctl start agentd
check "the work is there" same "$(works)" 1
check "the ledger verifies" agentctl ledger verify --deep

echo "== purge"
check "apt purges it" apt-get purge -y agentd
keep
told "purge deletes /var/lib/agentd (the ledger"
told "purge deletes /etc/agentd (configuration"
for path in /var/lib/agentd /etc/agentd /run/agentd; do refute "$path is gone" test -e $path; done
check "no link to a unit is left" same "$(find /etc/systemd/system -name 'agentd*' -type l)" ""
check "dpkg knows it no more" same "$(dpkg-query -W -f '${db:Status-Status}' agentd 2>/dev/null || true)" ""

echo "== after a purge, from nothing"
check "apt installs it" apt-get install -y --no-install-recommends "$deb"
check "the daemon starts" systemctl enable --now agentd
check "with a ledger of its own" same "$(works)" 0
check "apt purges it" apt-get purge -y agentd

echo "== where no manager runs"
unmanaged() { unshare --mount sh -c 'mount -t tmpfs none /run && exec "$@"' sh "$@"; }
check "dpkg installs it" unmanaged dpkg -i "$deb"
for unit in $sockets; do check "$unit is enabled" systemctl is-enabled --quiet $unit; done
refute "nothing was started" systemctl is-active --quiet agentd.socket
check "dpkg upgrades it" unmanaged dpkg -i "$(with_version "$version+4")"
check "dpkg purges it" unmanaged dpkg --purge agentd
cd / && rm -r "$work"
echo "the package holds"
