#!/bin/bash
# tree.sh [FOLDER]
# Makes a tree of Debian 13 with systemd 257, for `with-systemd --root`, unless it is there already. It is some 240 MiB and
# takes one to four minutes, so it is kept: beside the target folder, where CI keeps what it wants again. Prints where it is.
# Needs root, debootstrap and the network; takes packages by name from $AGENTD_MIRROR or Debian's own mirror.
set -euo pipefail

SUITE=trixie
# systemd, the buses of the system and of users, and what answers there; what agentd itself wants; what the scenes ask with;
# the parser of AppArmor 4, which the profile is for.
PACKAGES=systemd,dbus,dbus-user-session,polkitd,libpam-systemd,bubblewrap,git,procps,python3,apparmor

if [ $# -gt 0 ]; then
    tree=$1
else
    tree=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/agentd-target}-tools/$SUITE
fi
# The mark comes last and holds what the tree was made of: half a tree, or one of other packages, is made anew.
mark=$tree/etc/agentd-tree
[ "$(cat "$mark" 2>/dev/null)" = "$SUITE $PACKAGES" ] && { echo "$tree"; exit 0; }

[ "$(id -u)" = 0 ] || { echo "tree.sh: needs root" >&2; exit 77; }
command -v debootstrap >/dev/null || { echo "tree.sh: needs debootstrap" >&2; exit 77; }
mkdir -p "$(dirname "$tree")"
# Two that begin at a time do not work in one folder; the second finds what the first made.
exec 9>"$tree.lock"
flock 9
[ "$(cat "$mark" 2>/dev/null)" = "$SUITE $PACKAGES" ] && { echo "$tree"; exit 0; }
# debootstrap mounts /proc inside: nothing is removed while anything is mounted there.
if findmnt -rno TARGET | grep -q "^$tree/"; then
    echo "tree.sh: something is mounted below $tree: umount it first" >&2
    exit 1
fi
rm -rf --one-file-system "$tree"
unshare --mount --propagation private debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$tree" \
    "${AGENTD_MIRROR:-http://deb.debian.org/debian}" >"$tree.log" 2>&1 ||
    { tail -n 5 "$tree.log" >&2; echo "tree.sh: debootstrap failed; $tree.log has all of it" >&2; exit 1; }
rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* "$tree"/usr/share/doc "$tree"/usr/share/locale
# An empty one makes every boot the first one, which asks questions.
echo 5e1f0c0ffee04a57a6e17d0000000257 >"$tree/etc/machine-id"
printf '%s\n' "$SUITE $PACKAGES" >"$mark"
echo "$tree"
