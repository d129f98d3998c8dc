#!/bin/sh
# Changes one byte of a file: the last one of the first place where TEXT stands. usage: flip.sh FILE TEXT
set -eu
file=$1 text=$2
at=$(grep -abo -- "$text" "$file" | head -n 1 | cut -d: -f1)
[ -n "$at" ] || { echo "$file does not contain $text" >&2; exit 1; }
at=$((at + ${#text} - 1))
byte=$(dd if="$file" bs=1 skip="$at" count=1 2>/dev/null)
[ "$byte" = X ] && new=Y || new=X
printf '%s' "$new" | dd of="$file" bs=1 seek="$at" conv=notrunc 2>/dev/null
echo "byte $at of $file: '$byte' became '$new'"
