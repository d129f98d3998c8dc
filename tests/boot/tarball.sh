#!/bin/bash
# tests/boot/tarball.sh TARBALL
# The portable tarball on a host that systemd booted: refusals, install for the host, first submit, upgrade while a run works,
# a disk that fills, uninstall, purge, and install for one user. It changes the host: for throw-away roots (with-systemd) alone.
set -euo pipefail
[ $# = 1 ] && [ -f "$1" ] || { sed -n 2,4p "$0" >&2; exit 64; }
[ "$(id -u)" = 0 ] && [ -d /run/systemd/system ] || { echo "needs root and a booted systemd" >&2; exit 77; }
export LC_ALL=C.UTF-8
tarball=$(realpath "$1")
. "$(dirname "$(realpath "$0")")/installed.bash"
chmod 755 "$work"
cd "$work"
tar -xzf "$tarball"
cd agentd-*/
useradd -m alice

files() { find /etc /usr/local -xdev -type f ! -name '*-' ! -path '/etc/.pwd.lock' | LC_ALL=C sort; }
files | grep -vE '^/etc/(passwd|group|shadow|gshadow)' >"$work/files.before"

echo "== refusals"
refute "not by an ordinary user" as alice ./install.sh
keep
told "installing for the host needs root"
refute "not below a path that is not absolute" ./install.sh --prefix local
refute "not below a path that units cannot name" ./install.sh --prefix '/opt/a b'
refute "not twice taken away" ./install.sh --uninstall
cp VERSION "$work/version"
echo "0.1.0 vax" >VERSION
refute "not for another machine" ./install.sh
keep
told "these programs are for vax"
cp "$work/version" VERSION
mkdir -p "$work/old" "$work/small"
printf '#!/bin/sh\necho "systemd 247 (247.3-7)"\n' >"$work/old/systemctl"
chmod 755 "$work/old/systemctl"
refute "not with an older systemd" env PATH="$work/old:$PATH" ./install.sh
keep
told "systemd 247 is too old: 252 or later is needed"
mount -t tmpfs -o size=4m tmpfs "$work/small"
refute "not on a disk without room" ./install.sh --prefix "$work/small/agentd"
keep
told "KiB free, and"
check "none of these left a file" same "$(files | grep -vE '^/etc/(passwd|group|shadow|gshadow)' | diff "$work/files.before" -)" ""

echo "== install for the host"
check "it installs" ./install.sh
check "it installs again" ./install.sh
usermod -aG agentd alice
check "the units name the programs" grep -qx 'ExecStart=/usr/local/bin/agentd --system' /etc/systemd/system/agentd.service
check "systemd finds no fault" systemd-analyze verify --man=no agentd.service agentd.socket agentd-launch.service
check "the sockets listen" systemctl is-active --quiet agentd.socket agentd-agents.socket agentd-launch.socket
check "systemctl enable --now agentd" systemctl enable --now agentd
check "it runs from there" same "$(readlink "/proc/$(pid agentd)/exe")" /usr/local/bin/agentd
check "alice submits" as alice agentctl submit 'Summarise README.md' --skill text --accept-by-person
check "and finds her work" same "$(works)" 1

echo "== upgrade while a run works"
systemd-run --quiet --slice=agentd-runs.slice --unit=agentd-run-probe sleep infinity
run=$(pid agentd-run-probe)
daemon=$(pid agentd)
echo '# kept by the operator' >>/etc/agentd/agentd.toml
mkdir -p "$work/newer" && cp -a . "$work/newer/"
echo "new" >"$work/newer/files/usr/share/doc/agentd/news.md"
rm "$work/newer/files/usr/share/doc/agentd/errors.md"
check "another version installs" "$work/newer/install.sh"
refute "the daemon is a new one" same "$(pid agentd)" "$daemon"
check "the run works on" same "$(pid agentd-run-probe)" "$run"
check "the work is there" same "$(works)" 1
check "the operator's configuration too" grep -q 'kept by the operator' /etc/agentd/agentd.toml
check "what is new is there" test -e /usr/local/share/doc/agentd/news.md
refute "what it has no more is gone" test -e /usr/local/share/doc/agentd/errors.md

echo "== the disk fills during an upgrade"
daemon=$(pid agentd)
mkdir -p "$work/kept" && cp -a /usr/local/libexec/agentd/. "$work/kept/"
mount -t tmpfs -o "size=$(($(du -sk "$work/kept" | cut -f1) + 512))k,mode=755" tmpfs /usr/local/libexec/agentd
cp -a "$work/kept/." /usr/local/libexec/agentd/
refute "the upgrade fails" ./install.sh
keep
told "nothing that was there was changed"
check "the programs are as they were" diff -r "$work/kept" /usr/local/libexec/agentd
refute "no half of a file is left" sh -c 'find /usr/local /etc -name "*.agentd-new" | grep .'
check "the daemon was not stopped" same "$(pid agentd)" "$daemon"
umount -l /usr/local/libexec/agentd
check "with room it is made" ./install.sh

echo "== uninstall"
check "it uninstalls" ./install.sh --uninstall
keep
told "the ledger stays in /var/lib/agentd"
refute "no process of it is left" pgrep -u _agentd
refute "no run is left" test -e "/proc/$run"
check "the ledger is there" test -s /var/lib/agentd/ledger.db
check "its files are gone but the configuration" same \
    "$(files | grep -vE '^/etc/(passwd|group|shadow|gshadow|subuid|subgid)' | diff "$work/files.before" - | grep '^>' || true)" "> /etc/agentd/agentd.toml"
check "installed again" ./install.sh
check "the daemon starts" systemctl start agentd
check "and the work is there" same "$(works)" 1
check "the purge" ./install.sh --uninstall --purge
keep
told "deleting /var/lib/agentd (the ledger"
for path in /var/lib/agentd /etc/agentd /run/agentd; do refute "$path is gone" test -e $path; done

echo "== for one user"
refute "root has no installation of its own" ./install.sh --user
mine() { find /home/alice -type f | LC_ALL=C sort; }
rm -rf /home/alice/.local
mine >"$work/mine.before"
check "alice installs it" as alice ./install.sh --user
keep
told "systemctl --user enable --now agentd"
check "its programs are hers" as alice /home/alice/.local/bin/agentctl --version
check "her unit names them" grep -q '^ExecStart=/home/alice/.local/bin/agentd' /home/alice/.config/systemd/user/agentd.service
check "it installs again" as alice ./install.sh --user
check "nothing of the host was touched" same "$(files | grep -vE '^/etc/(passwd|group|shadow|gshadow|subuid|subgid)' | diff "$work/files.before" - | grep '^>' || true)" ""
check "she uninstalls it" as alice ./install.sh --user --uninstall --purge
check "no file is left" same "$(mine | diff "$work/mine.before" -)" ""
cd / && umount "$work/small" && rm -r "$work"
echo "the tarball holds"
