#!/bin/bash
# The journal: lines are found by their fields, and explained by the catalog.
. /agentd/boot/lib.sh
serve
need "the catalog is taken" journalctl --update-catalog
enrol alice fixer true
work=$(submit alice fixer --accept-by-person)
await "its run is over" 60 sh -c "journalctl --sync && journalctl -q AGENT_ID=fixer WORK_ID=$work | grep -q ."
ctl root agent pause fixer --reason "canary-reason" >/dev/null
ctl alice submit "canary-title" --agent fixer -q >/dev/null
journalctl --sync

says "what an agent did is found by its name" "agent fixer: AgentPaused" journalctl -q AGENT_ID=fixer
silent "and nothing else" "serves" journalctl -q AGENT_ID=fixer
says "a work by its id" "$work" journalctl -q WORK_ID="$work"
says "its run too" "$work" journalctl -q RUN_ID="$work.1"
await "how its run ended is found by the name of the agent" 60 sh -c "journalctl --sync && journalctl -q AGENT_ID=fixer | grep -q RunEnded"
says "the catalog explains" "Subject: Agent fixer is paused" journalctl -q -x AGENT_ID=fixer
says "what to do" "agentctl agent resume fixer" journalctl -q -x AGENT_ID=fixer
says "and who says so" "Defined-By: agentd" journalctl -q -x AGENT_ID=fixer
says "a kind is found by its id" "agent fixer: AgentEnrolled" journalctl -q MESSAGE_ID=5850708ca84b467a95ee7ee3d1b3da14
silent "and no other" "AgentPaused" journalctl -q MESSAGE_ID=5850708ca84b467a95ee7ee3d1b3da14
says "lines are agentd's, of the priority of what is worth knowing" "AgentPaused" journalctl -q -t agentd -p info..info
silent "and none more pressing" "AgentPaused" journalctl -q -t agentd -p notice
silent "content and reasons stand in none" canary journalctl -q -t agentd -o verbose
check "it stops" systemctl stop "$unit"
says "which the catalog explains" "Subject: agentd stops" journalctl -q -x -t agentd
end
