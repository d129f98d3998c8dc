#!/bin/sh
# Verifies the signature of a commit with ssh-keygen alone. usage: verify.sh COMMIT ALLOWED_SIGNERS
set -eu
commit=$1 signers=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A commit is a text; the signature stands in its head, and is over all the rest.
git cat-file commit "$commit" | sed -n '/^gpgsig /,/-----END/{s/^gpgsig //;s/^ //;p;}' >"$work/signature"
git cat-file commit "$commit" | sed '/^gpgsig /,/-----END/d' >"$work/signed"
author=$(sed -n 's/^author .*<\(.*\)>.*/\1/p' "$work/signed")
echo "ssh-keygen -Y verify -f signers -I $author -n git -s signature < signed"
ssh-keygen -Y verify -f "$signers" -I "$author" -n git -s "$work/signature" <"$work/signed"
