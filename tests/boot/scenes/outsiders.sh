#!/bin/bash
# Who is in none of agentd's groups may see the status, and nothing else; members may submit, auditors only read.
. /agentd/boot/lib.sh
serve
need_units

work=$(ctl alice submit "Alice counts" --skill no-such -q)
check "mallory sees the status" call mallory Host Status
for method in "Works List s {}" "Works Submit ss {\"title\":\"mine\"} x" "Works Show s $work" "Agents List" "Ledger Head" "Schedules List" "Objectives List"; do
    says "mallory is denied $method" 'Error.Denied' as_user mallory env SYSTEMD_LOG_LEVEL=debug busctl call org.agentd1 /org/agentd1 "org.agentd1.${method%% *}" ${method#* }
done
check "bob may submit" ctl bob submit mine --skill no-such -q
refute "audra may not" ctl audra submit mine --skill no-such -q
check "audra sees alice's work" ctl audra work show "$work"
usermod --append --groups agentd mallory
check "with the group mallory may submit, without a restart" ctl mallory submit mine --skill no-such -q
end
