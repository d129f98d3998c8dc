# program HOME FILES COUNT (PATH SHA256)… COMMAND…: puts the files that a program wants into its home, and becomes it. They
# lie in FILES by number; the digests are for who reads the spec.

set -eu
umask 077
home=$1 files=$2 count=$3 number=0
shift 3
while [ "$number" -lt "$count" ]; do
    case $1 in */*) mkdir -p "$home/${1%/*}" ;; esac
    cat "$files/$number" >"$home/$1"
    shift 2
    number=$((number + 1))
done
umask 022
exec "$@"
