#!/bin/bash
# Tries what an agent should not be able to, and says what came of it, as JSON.
# It reads three words: a file with a secret, a place outside of its workspace, a port of this host.
read -r secret outside port

did() { printf '"%s": "%s"' "$1" "$2"; }
try() { # WHAT COMMAND…: "it could", or the reason why not
    what=$1; shift
    if said=$("$@" 2>&1); then did "$what" "it could"; else did "$what" "$(printf '%s' "${said##*: }" | tr -d '"\\\n')"; fi
}
connect() { exec 3<>"/dev/tcp/127.0.0.1/$port"; }

printf '{ '
try "read a secret" cat "$secret";                          printf ', '
try "write outside" touch "$outside";                       printf ', '
[ "$port" = 0 ] || { try "open a connection" connect;       printf ', '; }
did "processes it sees" "$(ls -d /proc/[0-9]* | wc -l)";    printf ', '
did "user" "$(id -u)"
printf ' }\n'
