#!/bin/bash
# Who is in none of agentd's groups may see the status, and nothing else; members may submit, auditors only read.
. /agentd/boot/lib.sh
serve
need_units

work=$(ctl alice submit "Alice counts" --skill no-such -q)
check "mallory sees the status" call mallory Host Status
for method in "Works List s {}" "Works Submit ss {\"title\":\"mine\"} x" "Works Show s $work" "Agents List" "Ledger Head" "Schedules List" "Objectives List" "Host Accounts"; do
    says "mallory is denied $method" 'Error.Denied' as_user mallory env SYSTEMD_LOG_LEVEL=debug busctl call org.agentd1 /org/agentd1 "org.agentd1.${method%% *}" ${method#* }
done
check "bob may submit" ctl bob submit mine --skill no-such -q
refute "audra may not" ctl audra submit mine --skill no-such -q
check "audra sees alice's work" ctl audra work show "$work"
# The metrics: everybody may connect, policy says who gets them, and who does not is on record.
scrape() {
    as_user "$1" python3 -c 'import socket
s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect("/run/agentd/metrics.sock")
s.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
print(b"".join(iter(lambda: s.recv(65536), b"")).decode())'
}
for who in olga audra; do says "$who reads the metrics" agentd_build_info scrape "$who"; done
for who in alice mallory; do
    says "$who does not" "HTTP/1.1 403" scrape "$who"
    says "and is told why" "may not read the host's metrics" scrape "$who"
    silent "and learns no number" agentd_build_info scrape "$who"
done
recorded() { agentctl ledger log --json --type AccessDenied | grep host.measure | grep -q "uid:$(id -u "$1")"; }
for who in alice mallory; do wait_until "that $who asked is on record" 10 recorded "$who"; done
usermod --append --groups agentd mallory
check "with the group mallory may submit, without a restart" ctl mallory submit mine --skill no-such -q
end
