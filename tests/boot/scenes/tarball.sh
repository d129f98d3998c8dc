#!/bin/bash
# The portable tarball: refusals, install for the host, first submit, upgrade while runs work, a disk that fills, uninstall,
# purge, and install for one user.
. /agentd/boot/lib.sh
. /agentd/boot/installed.sh
mkdir -m 755 /srv/unpacked
cd /srv/unpacked || exit 1
need "it unpacks" tar -xzf $made/agentd-*.tar.gz
cd agentd-*/ || exit 1
useradd -m -s /bin/bash alice

# What is in its places, but for what the host's own tools note there.
files() {
    find /etc /usr/local -xdev -type f ! -name '*-' | LC_ALL=C sort |
        grep -vE '^/etc/(\.pwd\.lock|passwd|group|shadow|gshadow|subuid|subgid|credstore\.encrypted/agentd\.kek)$'
}
# added: what was not there before; nothing that was is missed.
added() { files | diff /tmp/files - | grep '^[<>]'; }
files >/tmp/files

echo "== refusals"
refute "not by an ordinary user" keep as_user alice "$PWD/install.sh"
told "installing for the host needs root"
refute "not below a path that is not absolute" ./install.sh --prefix local
refute "not below a path that units cannot name" ./install.sh --prefix '/opt/a b'
refute "not twice taken away" ./install.sh --uninstall
cp VERSION /tmp/version
echo "0.1.0 vax" >VERSION
refute "not for another machine" keep ./install.sh
told "these programs are for vax"
cp /tmp/version VERSION
mkdir -p /srv/old /srv/small
printf '#!/bin/sh\necho "systemd 247 (247.3-7)"\n' >/srv/old/systemctl
chmod 755 /srv/old/systemctl
refute "not with an older systemd" keep env PATH="/srv/old:$PATH" ./install.sh
told "systemd 247 is too old: 252 or later is needed"
mount -t tmpfs -o size=4m tmpfs /srv/small
refute "not on a disk without room" keep ./install.sh --prefix /srv/small/agentd
told "KiB free, and"
equal "none of these left a file" '' "$(added)"

echo "== install for the host"
need "it installs" ./install.sh
check "it installs again" ./install.sh
usermod -aG agentd alice
check "the units name the programs" grep -qx 'ExecStart=/usr/local/bin/agentd --system' /etc/systemd/system/agentd.service
equal "systemd $(systemd_version) finds no fault in any unit" '' \
    "$(systemd-analyze verify --man=no --recursive-errors=no $(cd /etc/systemd/system && ls -d agentd* | grep -v ^agentd-boot | sed 's/@\./@counter./') 2>&1)"
check "the sockets listen" systemctl is-active --quiet agentd.socket agentd-agents.socket agentd-launch.socket
make_room
need "systemctl enable --now agentd" systemctl enable --now agentd
equal "it runs from there" /usr/local/bin/agentd "$(readlink "/proc/$(prop agentd MainPID)/exe")"
waiting=$(ctl alice submit 'Summarise README.md' --skill text --accept-by-person -q)
check "alice submits, and finds her work" is alice "$waiting" parked

echo "== upgrade while runs work"
load
daemon=$(prop agentd MainPID)
echo '# kept by the operator' >>/etc/agentd/agentd.toml
cp -a . /srv/newer
echo "new" >/srv/newer/files/usr/share/doc/agentd/news.md
rm /srv/newer/files/usr/share/doc/agentd/errors.md
check "another version installs" /srv/newer/install.sh
refute "the daemon is a new one" test "$(prop agentd MainPID)" = "$daemon"
undisturbed
settle
check "the work from before is there" is alice "$waiting" parked
check "the operator's configuration too" grep -q 'kept by the operator' /etc/agentd/agentd.toml
check "what is new is there" test -e /usr/local/share/doc/agentd/news.md
absent /usr/local/share/doc/agentd/errors.md

echo "== the disk fills during an upgrade"
daemon=$(prop agentd MainPID)
crowd /usr/local/libexec/agentd
refute "the upgrade fails" keep ./install.sh
told "nothing that was there was changed"
check "the programs are as they were" diff -r /tmp/before /usr/local/libexec/agentd
equal "no half of a file is left" '' "$(find /usr/local /etc -name '*.agentd-new')"
equal "the daemon was not stopped" "$daemon" "$(prop agentd MainPID)"
undisturbed
relieve /usr/local/libexec/agentd
check "with room it is made" ./install.sh
undisturbed
check "the ledger verifies" ctl root ledger verify --deep

echo "== uninstall"
check "it uninstalls" keep ./install.sh --uninstall
told "the ledger stays in /var/lib/agentd"
refute "no process of it is left" pgrep -u _agentd
equal "no run is left" '' "$(alive)"
check "the ledger is there" test -s /var/lib/agentd/ledger.db
equal "its files are gone but the configuration" "> /etc/agentd/agentd.toml" "$(added)"
check "installed again" ./install.sh
refute "the package does not go beside it" keep dpkg -i $made/agentd_*.deb
told "agentd is installed from its tarball"
told "./install.sh --uninstall"
refute "nothing of the package is there" test -e /usr/bin/agentd
check "the daemon starts" systemctl start agentd
check "and the work is there" is alice "$waiting" parked
check "an agent's unit is enabled" systemctl enable agentd-agent@counter
check "the purge" keep ./install.sh --uninstall --purge
told "deleting /var/lib/agentd (the ledger"
told "deleting /etc/systemd/system/multi-user.target.wants/agentd-agent@counter.service (the link that starts it)"
absent /var/lib/agentd /etc/agentd /run/agentd
equal "no link to a unit is left" '' "$(find /etc/systemd -lname '*agentd*')"
check "installed once more" ./install.sh
check "the daemon starts" systemctl start agentd
check "it has a key" test -s /var/lib/agentd/keys/log
refute "its keys are encrypted again" grep -q 'BEGIN OPENSSH' /var/lib/agentd/keys/log
# A unit file in /etc is in the way of a mask of that name: a host masks it by a link in its place.
check "a unit is masked" systemctl mask --quiet agentd-agent@counter
check "the second purge" keep ./install.sh --uninstall --purge
equal "no mask is left" '' "$(find /etc/systemd -name 'agentd*' -lname /dev/null)"
equal "nothing lies about in /tmp" '' "$(find /tmp -maxdepth 1 -name 'agentd-install*')"
equal "no file is left" '' "$(added)"

echo "== for one user"
refute "root has no installation of its own" ./install.sh --user
mine() { find /home/alice -type f | LC_ALL=C sort; }
rm -rf /home/alice/.local /home/alice/.config
mine >/tmp/mine
check "alice installs it" keep as_user alice "$PWD/install.sh" --user
told "systemctl --user enable --now agentd"
check "its programs are hers" as_user alice /home/alice/.local/bin/agentctl --version
check "her unit names them" grep -q '^ExecStart=/home/alice/.local/bin/agentd' /home/alice/.config/systemd/user/agentd.service
check "it installs again" as_user alice "$PWD/install.sh" --user
equal "nothing of the host was touched" '' "$(added)"
check "she uninstalls it" as_user alice "$PWD/install.sh" --user --uninstall --purge
equal "no file is left" '' "$(mine | diff /tmp/mine -)"
end
