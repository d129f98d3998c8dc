#!/bin/bash
# Installs what the tree has, as its package would: the files of systemd/ where they say, the binaries of the target folder
# at their places, and people to try it with. Inside of with-systemd only: what is installed is gone with it.
#   alice, bob  may submit (group agentd)
#   olga        is an operator (agentd-operator)
#   audra       is an auditor (agentd-audit)
#   mallory     is in none of the groups
set -euo pipefail
[ "$(tr '\0' '\n' </proc/1/environ | sed -n 's/^container=//p')" = agentd-boot ] || { echo "install.sh: only inside of with-systemd" >&2; exit 64; }
bin=/agentd/bin source=/agentd/source

# Debug binaries are large and all here is memory: they are bound, not copied.
place() {
    [ -e "$bin/$1" ] || { echo "install.sh: $1 was not built" >&2; exit 1; }
    mkdir -p "${2%/*}"
    touch "$2"
    chmod 755 "$2"
    mount --bind "$bin/$1" "$2"
    mount -o remount,bind,ro "$2"
}
place agentd /usr/bin/agentd
place agentctl /usr/bin/agentctl
place agentd-launch /usr/libexec/agentd/agentd-launch
place agentd-shim /usr/libexec/agentd/agentd-shim

if [ -d "$source/systemd" ]; then
    (cd "$source/systemd" && find . -type f -printf '%P\0') | while IFS= read -r -d '' file; do
        mode=644
        [ -x "$source/systemd/$file" ] && mode=755
        install -D -m "$mode" "$source/systemd/$file" "/$file"
    done
fi
if [ -f /usr/lib/sysusers.d/agentd.conf ]; then systemd-sysusers /usr/lib/sysusers.d/agentd.conf 2>/dev/null; fi
for group in agentd agentd-operator agentd-audit; do getent group "$group" >/dev/null || groupadd --system "$group"; done
for user in alice:agentd bob:agentd olga:agentd-operator audra:agentd-audit mallory:; do
    useradd --create-home --shell /bin/bash --groups "${user#*:}" "${user%%:*}"
done
if [ -f /usr/lib/tmpfiles.d/agentd.conf ]; then systemd-tmpfiles --create /usr/lib/tmpfiles.d/agentd.conf; fi
mkdir -p /etc/agentd
[ ! -f "$source/packaging/etc/agentd.toml" ] || install -m 644 "$source/packaging/etc/agentd.toml" /etc/agentd/agentd.toml
systemctl daemon-reload
busctl --quiet call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
