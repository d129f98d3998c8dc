#!/bin/bash
# Somebody without rights on each method of each interface: refused, or it is one that everybody may. tests/boot/methods
# has a row for each, and what comes of it for who may.
. /agentd/boot/lib.sh
serve

mark=quince
# A skill that nobody has: no agent touches it.
work=$(ctl alice submit "Alice counts $mark" --skill no-such -q)
event=$(ctl alice ledger log --type WorkSubmitted --json | json 'it["index"]')
ctl alice agent enroll "agent-$mark" --skill count -- /usr/bin/true >/dev/null 2>&1
ctl alice schedule add "schedule-$mark" @daily "counts $mark" >/dev/null 2>&1
ctl alice slo set "objective-$mark" --target 95 --window 7d --indicator success >/dev/null 2>&1

# ask USER ROW: makes the call. What comes of it is in $got: done, hidden, denied, another code of agentd, or an error of the
# bus; what is said in $said.
ask() {
    local user=$1 row=$2 interface method verdict args word words=()
    row=${row//%work/$work} row=${row//%event/$event} row=${row//%agent/agent-$mark} row=${row//%who/$user}
    row=${row//%schedule/schedule-$mark} row=${row//%objective/objective-$mark} row=${row//%file//tmp/file-$RANDOM$RANDOM}
    read -r interface method verdict args <<<"$row"
    for word in $args; do
        [ "$word" = - ] && word=
        words+=("$word")
    done
    if [ "${words[0]:-}" = ctl ]; then
        said=$(ctl "$user" --json "${words[@]:1}" 2>&1 </dev/null) && { got='done'; return; }
        got=$(grep -o '"code":"[a-z_]*"' <<<"$said" | head -n 1 | cut -d'"' -f4)
    else
        # The name of an error is in what busctl says to those who debug it, and nowhere else.
        said=$(as_user "$user" env SYSTEMD_LOG_LEVEL=debug busctl --timeout=30 --json=short call org.agentd1 /org/agentd1 \
            "org.agentd1.$interface" "$method" ${words[@]+"${words[@]}"} 2>/tmp/debug </dev/null) && { got='done'; return; }
        got=$(grep -o 'error-name=[^ ]*' /tmp/debug | tail -n 1 | cut -d= -f2)
        said=$(grep '^Call failed' /tmp/debug)
    fi
    case $got in
    not_found | org.agentd1.Error.NotFound) got=hidden ;;
    denied | org.agentd1.Error.Denied) got=denied ;;
    esac
}

# Every method has a row, and every row a method.
for file in "$source"/schemas/dbus/*.xml; do
    interface=$(basename "$file" .xml)
    grep -oE '<method name="[^"]*"' "$file" | cut -d'"' -f2 | sed "s/^/${interface#org.agentd1.} /"
done | sort -u >/tmp/methods
grep -E '^[A-Z]' "$here/methods" | awk '{ print $1, $2 }' | sort -u >/tmp/rows
equal "tests/boot/methods has every method of schemas/dbus, and no other" "$(cat /tmp/methods)" "$(cat /tmp/rows)"

# The stranger, all of it first: what is alice's is whole when she asks, and nothing was done to it.
set -f
rows=()
declare -A strangers
while read -r row; do [[ $row == [A-Z]* ]] && rows+=("$row"); done <"$here/methods"
before=$(ctl olga ledger log --subject "work:$work" --json)
for row in "${rows[@]}"; do
    read -r interface method verdict args <<<"$row"
    ask bob "$row"
    name="$interface.$method, $verdict for a stranger${args:+: $args}"
    case $verdict in
    open) equal "$name" 'done' "$got" ;;
    wrong) equal "$name" org.agentd1.Error.InvalidDocument "$got" ;;
    hidden | denied) equal "$name" "$verdict" "$got" ;;
    *) no "$name" "$verdict is no verdict" ;;
    esac
    strangers["$row"]=$said
    [[ $said != *"$mark"* ]] || [ "$got" = hidden ] || no "$name, and says nothing of alice's" "$said"
done
equal "none of it touched alice's work" "$before" "$(ctl olga ledger log --subject "work:$work" --json)"

# Who may gets another answer: the rows ask for what is there.
for row in "${rows[@]}"; do
    read -r interface method verdict args <<<"$row"
    case $verdict in hidden) who=alice ;; denied) who=root ;; *) continue ;; esac
    ask "$who" "$row"
    name="$interface.$method answers $who otherwise"
    case $verdict:$got in
    denied:denied) no "$name" "$said" ;;
    *:'done' | *:hidden | *:denied | *:org.agentd1.Error.*) if [ "$said" != "${strangers["$row"]}" ]; then ok "$name"; else no "$name" "$said"; fi ;;
    *) no "$name" "$got: $said" ;;
    esac
done
end
