#!/bin/sh
# Repairs total.sh in the folder where it is started. A first attempt does what the comment in the file says. A later one is
# told why the one before was not accepted, and does what that asks for as well.
# usage: fixer.sh PREVIOUS    PREVIOUS is a file. The first time it says null, else JSON with the verdicts of the attempt before.
set -eu
echo "reading total.sh" >&2                     # lines on stderr are for people: agentctl log -f
sed -i 's/-gt 10/-ge 10/' total.sh

if grep -q "expected 'refused'" "$1"; then
    echo "the verdict says that it must refuse less than nothing" >&2
    sed -i 's/^total=/[ "$quantity" -ge 0 ] || { echo refused; exit 0; }\ntotal=/' total.sh
fi
echo '"total.sh is repaired"'                   # stdout is the result; what it changed is the diff
