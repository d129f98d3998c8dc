#!/bin/sh
# Installs agentd from this folder, or takes it away.
#
#   ./install.sh                      for the host, as root: programs below /usr/local, units in /etc/systemd
#   ./install.sh --prefix DIR         programs below DIR
#   ./install.sh --user               for you alone: programs below ~/.local, a unit of your own service manager
#   ./install.sh --uninstall          takes away what it installed; ledger and configuration stay (--user: yours)
#   ./install.sh --uninstall --purge  and deletes them, and says what that is
#
# It may be run again, also from another version's folder: that is the upgrade. Runs go on meanwhile.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
prefix='' user='' uninstall='' purge=''
refuse() {
    echo "error: $1" >&2
    [ -z "${2:-}" ] || echo "hint: $2" >&2
    exit 1
}
while [ $# -gt 0 ]; do
    case $1 in
    --prefix) prefix=${2:-} && [ $# -ge 2 ] || refuse "--prefix needs a folder"; shift ;;
    --prefix=*) prefix=${1#*=} ;;
    --user) user=yes ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) refuse "unknown option $1" "$0 --help lists them" ;;
    esac
    shift
done

sockets="agentd.socket agentd-agents.socket agentd-metrics.socket agentd-launch.socket"
# The sockets first, so that no call starts it anew; then the daemon, so that it begins nothing again; then what runs. The key's unit
# is done and stays active: it makes the key of the next daemon only once it was stopped.
stopped="agentd.socket agentd-agents.socket agentd-metrics.socket agentd.service agentd-launch.socket agentd-launch.service agentd-credentials.service agentd.slice"
if [ -n "$user" ]; then
    [ "$(id -u)" != 0 ] || refuse "--user is for an ordinary user, and this is root" "without --user it is installed for the host"
    : "${HOME:?}"
    prefix=${prefix:-$HOME/.local}
    units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
    state=${XDG_STATE_HOME:-$HOME/.local/state}/agentd
    config=${XDG_CONFIG_HOME:-$HOME/.config}/agentd
    scope=--user
else
    doing=installing
    [ -z "$uninstall" ] || doing='taking it away'
    [ "$(id -u)" = 0 ] || refuse "$doing for the host needs root" "sudo $0, or with --user for you alone"
    prefix=${prefix:-/usr/local}
    units=/etc/systemd/system
    state=/var/lib/agentd
    config=/etc/agentd
    scope=--system
fi
case $prefix in
/*) ;;
*) refuse "--prefix $prefix is no absolute path" ;;
esac
case $prefix in
*[!A-Za-z0-9/_.+-]*) refuse "--prefix $prefix has characters that units cannot name" "use letters, digits and /_.+-" ;;
esac
manifest=$prefix/share/agentd/manifest

# Whether the manager that would run it can be asked.
managed() {
    if [ -n "$user" ]; then [ -S "${XDG_RUNTIME_DIR:-/nonexistent}/systemd/private" ]; else [ -d /run/systemd/system ]; fi
}
ctl() { systemctl $scope "$@"; }

# Where a file of the layout goes; empty for what this kind of installation has no use for.
place() {
    case $1 in
    usr/bin/* | usr/libexec/*) echo "$prefix/${1#usr/}" ;;
    usr/share/man/* | usr/share/bash-completion/* | usr/share/fish/* | usr/share/doc/*) echo "$prefix/${1#usr/}" ;;
    usr/share/zsh/vendor-completions/*) echo "$prefix/share/zsh/site-functions/${1##*/}" ;;
    usr/share/agentd/*) echo "$prefix/${1#usr/}" ;;
    usr/lib/systemd/user/*) if [ -n "$user" ]; then echo "$units/${1#usr/lib/systemd/user/}"; else echo "/etc/systemd/user/${1#usr/lib/systemd/user/}"; fi ;;
    *) [ -n "$user" ] || place_on_host "$1" ;;
    esac
}
place_on_host() {
    case $1 in
    usr/lib/systemd/system/*) echo "$units/${1#usr/lib/systemd/system/}" ;;
    usr/lib/systemd/catalog/*) echo "/usr/local/${1#usr/}" ;;
    usr/lib/sysusers.d/* | usr/lib/tmpfiles.d/* | usr/lib/systemd/journald@*) echo "/etc/${1#usr/lib/}" ;;
    usr/share/dbus-1/system.d/*) echo "/etc/${1#usr/share/}" ;;
    usr/share/dbus-1/system-services/*) echo "/usr/local/${1#usr/}" ;;
    usr/share/polkit-1/rules.d/*) echo "/etc/${1#usr/share/}" ;;
    # The one place that all versions of polkit read.
    usr/share/polkit-1/actions/*) echo "/$1" ;;
    esac
}

# Removes the files of a list, and folders of agentd that are empty then.
remove_files() {
    while read -r file; do
        rm -f "$file"
        folder=$(dirname "$file")
        while rmdir_own "$folder"; do folder=$(dirname "$folder"); done
    done
}
rmdir_own() {
    case $1 in */agentd | */agentd/* | */agent*.d | */journald@agentd-*) rmdir "$1" 2>/dev/null ;; *) return 1 ;; esac
}

delete() {
    [ -e "$1" ] || return 0
    echo "deleting $1 ($2, $(du -sh "$1" 2>/dev/null | cut -f1))"
    rm -rf --one-file-system "$1"
}

# Links that enabled or masked a unit of ours, agents' instances included, and where they lead.
unlink_units() {
    for folder in "$units" $([ -n "$user" ] || echo /etc/systemd/user); do
        [ -d "$folder" ] || continue
        find "$folder" -type l | while read -r link; do
            case $(readlink "$link") in
            */systemd/system/agentd.* | */systemd/system/agentd-* | */systemd/user/agentd.* | "$prefix"/share/agentd/*) ;;
            /dev/null) case ${link##*/} in agentd.* | agentd-*) ;; *) continue ;; esac ;;
            *) continue ;;
            esac
            what=changes
            case $link in *.wants/*) what=starts ;; esac
            echo "deleting $link (the link that $what it)"
            rm -f "$link"
        done
        # What the links of a resident agent were in.
        rmdir "$folder/agentd-agents.socket.wants" 2>/dev/null || true
    done
}

stop_all() {
    managed || return 0
    if [ -n "$user" ]; then
        ctl disable --now agentd.service 2>/dev/null || true
        return 0
    fi
    ctl disable agentd.service $sockets 2>/dev/null || true
    for unit in $stopped; do ctl stop $unit 2>/dev/null || true; done
}

reload() {
    managed && ctl daemon-reload || true
    [ -z "$user" ] || return 0
    journalctl --update-catalog >/dev/null 2>&1 || true
    busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig >/dev/null 2>&1 || true
}

if [ -n "$uninstall" ]; then
    if [ -e "$manifest" ]; then
        stop_all
        profile=/etc/apparmor.d/agentd-shim
        if [ -z "$user" ] && [ -e $profile ]; then apparmor_parser --remove $profile 2>/dev/null || true; fi
        remove_files <"$manifest"
        echo "$manifest" | remove_files
        reload
        echo "agentd is no longer installed below $prefix"
    elif [ -z "$purge" ]; then
        refuse "agentd is not installed below $prefix: $manifest is missing" "say with --prefix where it is"
    fi
    if [ -n "$purge" ]; then
        unlink_units
        delete "$state" "the ledger, its keys, runs and artefacts"
        if [ -n "$user" ]; then
            delete "$config" "configuration, and the keys of your agents"
        else
            delete "$config" "configuration"
            for credential in /etc/credstore.encrypted/agentd.*; do delete "$credential" "the key that encrypts the daemon's keys"; done
            for credential in /etc/credstore.encrypted/agentd-agent.*; do delete "$credential" "the key of a resident agent"; done
            delete /var/lib/private/agentd-agent "what resident agents kept"
            delete /var/lib/agentd-agent "the way to that"
            delete /run/agentd "sockets"
            echo "the user _agentd, the groups agentd, agentd-operator and agentd-audit, and the journal stay"
        fi
    elif [ -e "$state/ledger.db" ]; then
        echo "the ledger stays in $state, the configuration in $config; --uninstall --purge deletes both"
    fi
    exit 0
fi
[ -z "$purge" ] || refuse "--purge goes with --uninstall"

# What would make it fail later is said before anything is changed.
[ -d "$here/files" ] || refuse "$here/files is missing" "unpack the whole tarball, and run install.sh in its folder"
read -r version machine <"$here/VERSION"
[ "$machine" = "$(uname -m)" ] || refuse "these programs are for $machine, and this machine is $(uname -m)"
"$here/files/usr/bin/agentctl" --version >/dev/null 2>&1 || refuse "the programs do not start on this system" "$here/files/usr/bin/agentctl --version says why; an older C library asks for a build from source"
command -v systemctl >/dev/null || refuse "there is no systemd on this system" "agentd runs without it too: see docs/operations.md, Install by hand"
have=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
[ "${have:-0}" -ge 252 ] || refuse "systemd ${have:-?} is too old: 252 or later is needed"
if [ -z "$user" ] && dpkg-query -W -f '${db:Status-Status}' agentd 2>/dev/null | grep -qx installed; then
    refuse "the package agentd is installed" "apt remove agentd first; its ledger stays, and is found again"
fi
if [ -n "$user" ] && [ ! -f "$here/files/usr/lib/systemd/user/agentd.service" ]; then refuse "this tarball has no unit for user mode"; fi
for need in bwrap:bubblewrap git:git; do
    command -v "${need%:*}" >/dev/null || echo "warning: ${need#*:} is missing: no run can be started without it" >&2
done
folder=$prefix
while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
needed=$(($(du -sk "$here/files" | cut -f1) + 1024))
free=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
[ "$free" -ge "$needed" ] || refuse "$folder has $free KiB free, and $needed are needed"

# Written beside what is there first, then put in its place: a disk that fills leaves the version before as it was.
before=''
[ ! -e "$manifest" ] || before=yes
# Lists of files, in a folder of our own: nobody else lays a link where they are written.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/agentd-install.XXXXXX")
new=$scratch/files
: >"$new"
undo() {
    while read -r file; do rm -f "$file.agentd-new"; done <"$new"
    rm -rf "$scratch"
    echo "error: not installed; nothing that was there was changed" >&2
}
trap undo EXIT
list() { (cd "$here/files" && find . -type f | sed 's,^\./,,' | LC_ALL=C sort); }
put() {
    mode=644
    case $1 in usr/bin/* | usr/libexec/*) mode=755 ;; esac
    mkdir -p "$(dirname "$2")"
    echo "$2" >>"$new"
    case $1 in
    *.service | *.socket | *.slice | *.timer | *.conf | *.policy | usr/share/agentd/apparmor.d/*)
        sed -e "s,/usr/bin/agent,$prefix/bin/agent,g" -e "s,/usr/libexec/agentd,$prefix/libexec/agentd,g" \
            -e "s,/usr/share/agentd,$prefix/share/agentd,g" -e "s,/usr/share/doc/agentd,$prefix/share/doc/agentd,g" \
            "$here/files/$1" >"$2.agentd-new"
        ;;
    *) cp "$here/files/$1" "$2.agentd-new" ;;
    esac
    chmod $mode "$2.agentd-new"
}
umask 022
for file in $(list); do
    to=$(place "$file")
    [ -z "$to" ] || put "$file" "$to"
done
if [ -z "$user" ] && [ -e /etc/apparmor.d/abi/4.0 ]; then put usr/share/agentd/apparmor.d/agentd-shim /etc/apparmor.d/agentd-shim; fi
while read -r file; do mv -f "$file.agentd-new" "$file"; done <"$new"
trap - EXIT
# What the version before had and this one has not.
if [ -n "$before" ]; then
    LC_ALL=C sort "$new" >"$new.sorted"
    LC_ALL=C sort "$manifest" | LC_ALL=C comm -23 - "$new.sorted" | remove_files
fi
mkdir -p "$(dirname "$manifest")"
mv -f "$new" "$manifest"
rm -rf "$scratch"
chmod 644 "$manifest"
if [ -z "$user" ] && [ ! -e "$config/agentd.toml" ]; then
    mkdir -p "$config"
    for folder in agents schedules budgets policies; do mkdir -p "$config/$folder.d"; done
    sed "s,/usr/share/doc/agentd,$prefix/share/doc/agentd,g" "$here/files/etc/agentd/agentd.toml" >"$config/agentd.toml"
fi

if [ -z "$user" ]; then
    systemd-sysusers /etc/sysusers.d/agentd.conf
    systemd-tmpfiles --create /etc/tmpfiles.d/agentd.conf || true
    if [ -e /etc/apparmor.d/agentd-shim ] && aa-enabled --quiet 2>/dev/null; then
        apparmor_parser --replace --write-cache /etc/apparmor.d/agentd-shim || true
    fi
fi
reload
if [ -z "$user" ]; then
    [ -n "$before" ] || ctl enable $sockets 2>/dev/null
    if managed; then
        ctl start $sockets
        # Runs and agents are units of their own and go on; the daemon that starts takes them over.
        if [ -n "$before" ]; then ctl try-restart agentd-launch.service agentd.service; fi
    fi
    echo "agentd $version is installed below $prefix, its units in $units, its configuration in $config"
    echo "hint: systemctl enable --now agentd; usermod -aG agentd USER for who may submit"
else
    if managed && [ -n "$before" ]; then ctl try-restart agentd.service; fi
    echo "agentd $version is installed below $prefix for $(id -un), its unit in $units"
    case :$PATH: in *:$prefix/bin:*) ;; *) echo "hint: $prefix/bin is not in your PATH" ;; esac
    echo "hint: systemctl --user enable --now agentd"
fi
