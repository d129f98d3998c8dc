# program HOME COUNT (PATH CONTENT)… COMMAND…: writes the files that a program wants in its home, and becomes it.

set -eu
umask 077
home=$1 count=$2
shift 2
while [ "$count" -gt 0 ]; do
    case $1 in */*) mkdir -p "$home/${1%/*}" ;; esac
    printf '%s' "$2" >"$home/$1"
    shift 2
    count=$((count - 1))
done
umask 022
exec "$@"
