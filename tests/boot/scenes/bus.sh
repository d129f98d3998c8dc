#!/bin/bash
# agentd on the real system bus: people submit, see what is theirs, and learn nothing of the others.
. /agentd/boot/lib.sh
serve

# What the bus shows is what is checked in.
busctl introspect --xml-interface org.agentd1 /org/agentd1 >/tmp/shown.xml
for file in "$source"/schemas/dbus/*.xml; do
    interface=$(basename "$file" .xml)
    equal "$interface is on the bus as it is checked in" \
        "$(grep -oE '<(method|signal|property) name="[^"]*"' "$file")" \
        "$(sed -n "/<interface name=\"$interface\">/,/<\/interface>/p" /tmp/shown.xml | grep -oE '<(method|signal|property) name="[^"]*"')"
done
equal "properties are there for everybody" '"/run/agentd/agents.sock"' \
    "$(as_user mallory busctl get-property org.agentd1 /org/agentd1 org.agentd1.Host AgentsSocket | cut -d' ' -f2)"
refute "nobody else has the name" as_user alice busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus RequestName su org.agentd1 4

mark=quince
a=$(ctl alice submit "Alice counts $mark" --key one -q) || no "alice submits" "$a"
b=$(ctl bob submit "Bob counts pears" -q) || no "bob submits" "$b"
equal "the same key submits nothing new" "$a" "$(ctl alice submit "Alice counts $mark" --key one -q)"
says "alice sees her own" "$mark" ctl alice work list
equal "under her uid, which the bus told" "$(id -u alice)" "$(ctl alice work show "$a" --json | json 'it["owner"]')"
silent "and not bob's" pears ctl alice work list
silent "bob does not see hers" "$mark" ctl bob work list
says "nor can he tell it from none" "not_found" ctl bob work show "$a" --json
equal "not even by the words of the answer" \
    "$(ctl bob work show w-aaaaaaaaaaaaaaaa 2>&1 | sed "s/w-[a-z0-9]*/WORK/g")" "$(ctl bob work show "$a" 2>&1 | sed "s/w-[a-z0-9]*/WORK/g")"
refute "nor call it off" ctl bob cancel "$a" --reason "not mine"
silent "nor read of it in the ledger" "$a" ctl bob ledger log --json
says "an operator sees both" "$mark" ctl olga work list
says "which says pears too" pears ctl olga work list
says "an auditor sees both" pears ctl audra work list
refute "and changes neither" ctl audra cancel "$a" --reason "may I"
check "alice calls hers off" ctl alice cancel "$a" --reason "enough"
# What an operator changes, polkit has a word in, and of root it asks nothing; scenes/polkit.sh has the others.
check "an operator bob's" ctl root cancel "$b" --reason "enough"
says "who did is in the ledger" "uid:0" ctl olga log "$b"

busctl --quiet call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
check "a bus that reads its policy again changes nothing" ctl alice status
check "the ledger verifies" verified
end
