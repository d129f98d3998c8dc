#!/bin/bash
# polkit proves that an operator is there, and policy authorizes: both must agree, over the bus and the private socket.
. /agentd/boot/lib.sh
serve

# typed PASSWORD COMMAND…: with a terminal, at which somebody types the password when one is asked for. At the end it says
# whether it was, the exit code, and how many questions there were.
cat >/tmp/typed.py <<'END'
import os, pty, select, sys, termios, time
password = sys.argv[1].encode() + b"\n"
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
said, typed, until = b"", 0, time.monotonic() + 60
while time.monotonic() < until:
    # What is typed before it hides what is typed, it throws away. Each question is answered once.
    if typed < said.count(b"assword") and b"assword" in said.rsplit(b"\n", 1)[-1] and not termios.tcgetattr(terminal)[3] & termios.ECHO:
        typed = said.count(b"assword")
        os.write(terminal, password)
    if not select.select([terminal], [], [], .05)[0]: continue
    try: some = os.read(terminal, 4096)
    except OSError: break
    if not some: break
    said += some
print(said.decode(errors="replace"))
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print("asked" if typed else "not asked", code, sep=": ")
print("questions", said.count(b"AUTHENTICATING FOR"), sep=": ")
sys.exit(code)
END
typed() { python3 /tmp/typed.py "$@"; }
# asked PASSWORD ARGUMENT…: agentctl of olga at a terminal.
asked() {
    local password=$1
    shift
    typed "$password" setpriv --reuid olga --regid olga --init-groups --inh-caps=-all -- env -i -C /home/olga \
        PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 TERM=dumb USER=olga HOME=/home/olga \
        /usr/bin/agentctl --address "$door" "$@"
}
olga() { as_user olga /usr/bin/agentctl --address "$door" "$@"; }
# rule USER RESULT: what polkit answers about a user, before the rules of the package; it sees a new file by itself, a moment later.
rule() {
    printf 'polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.agentd1.") === 0 && subject.user === "%s") return polkit.Result.%s;
});\n' "$1" "$2" >/etc/polkit-1/rules.d/10-scene.rules
}
root() { /usr/bin/agentctl --address system "$@"; }
# refuses TEXT COMMAND…: what the command says has the text in it.
refuses() {
    local text=$1
    shift
    [[ $("$@" 2>&1 </dev/null) == *"$text"* ]]
}
# The newest note: what is on record of who made it, and of what agreed.
note() { root ledger log --json --type NoteAdded -n 1 | json "$1"; }

echo olga:olga-word | chpasswd
work=$(ctl alice submit "Alice counts" -q) || no "alice submits" "$work"

rule bob YES
says "a yes of polkit alone allows nothing" "may not freeze or manage the host" ctl bob freeze --all --reason scene
check "what is one's own needs no proof" ctl alice work note "$work" mine
check "root needs no polkit" root work note "$work" "of root"

for door in system unix:path=/run/agentd/control.sock; do
    over="over ${door%%:*}"
    rm -f /etc/polkit-1/rules.d/10-scene.rules
    wait_until "without a terminal an operator is told the way out, $over" 10 \
        refuses "lets it ask nobody" olga work note "$work" x
    own=$(olga submit "Olga counts" -q) || no "an operator submits, $over" "$own"
    check "an operator's own works need no proof, $over" olga work note "$own" mine
    says "the wrong password is a refusal, $over" "nobody proved to polkit" asked wrong-word work note "$work" x
    says "at a terminal the person is asked, $over" "asked: 0" asked olga-word work note "$work" "of olga"
    equal "it is on record that the person was asked, $over" reauth "$(note 'it["assurance"]')"
    equal "policy and polkit agreed, $over" "operator.manages_the_host org.agentd1.manage-works" "$(note '" ".join(it["decided"]["rules"])')"
    says "reading needs no proof, $over" "Alice counts" olga work show "$work"

    rule olga YES
    wait_until "a rule lets a program without a person act, $over" 10 olga work note "$work" "of a program"
    equal "nobody was asked, and that is on record, $over" session "$(note 'it["assurance"]')"
    for command in "freeze --all --reason x" "thaw --all" "budget set host --per day --max-cost 5usd" "ledger backup /home/olga/copy-${door%%:*}"; do
        check "with polkit's yes: $command, $over" olga $command
    done
    rule olga NO
    for command in "work note $work x" "freeze --all --reason x" "thaw --all" "budget set host --per day --max-cost 6usd" \
        "ledger backup /home/olga/refused" "ledger hold $work --reason x" "gc"; do
        wait_until "polkit's no counts: $command, $over" 10 refuses "polkit does not allow it" olga $command
    done
    refute "a refused copy leaves nothing, $over" test -e /home/olga/refused
done
says "a refusal is on record" presence.not_proved root ledger log --json --type AccessDenied -n 1

# polkit that stands still, that is away, and that never heard of agentd.
pid=$(prop polkit.service MainPID)
kill -STOP "$pid"
says "a polkit that does not answer is a no" "did not answer within 5 seconds" olga work note "$work" x
kill -CONT "$pid"
systemctl mask --now --runtime polkit.service >/dev/null 2>&1
says "a polkit that is away is a no, with a way out" "systemctl status polkit" olga work note "$work" x
says "doctor says that the daemon cannot ask polkit" "agentd cannot ask it" as_user olga /usr/bin/agentctl doctor
check "root needs no polkit that is away" root work note "$work" "of root"
systemctl unmask --runtime polkit.service >/dev/null 2>&1
check "polkit comes back by itself" bash -c "rm /etc/polkit-1/rules.d/10-scene.rules; systemctl restart polkit.service"
says "and the person is asked again" "asked: 0" asked olga-word work note "$work" "of olga"

# Two commands in a session with a terminal, as over ssh: polkit keeps what was typed at one for that process alone, so each asks.
printf 'agentctl --address %s work note %s one && agentctl --address %s work note %s two\n' system "$work" system "$work" >/tmp/twice
# Who types sits in the session, at its own terminal: of another one in between it would not see what it hides.
said=$(systemd-run -q --pipe --wait -p PAMName=login -p User=olga -E PATH=/usr/bin:/bin python3 /tmp/typed.py olga-word sh /tmp/twice 2>&1)
says "two commands in a session with a terminal ask twice" "questions: 2" echo "$said"
says "and both are done" "asked: 0" echo "$said"

# A plan for others is begun when all that it needs is proved, and is not left in its middle.
plan=/home/olga/host
mkdir -p $plan/agents.d $plan/budgets.d $plan/schedules.d
printf 'name = "hers"\nowner = "alice"\nskills = ["count"]\ncommand = ["/usr/bin/true"]\n' >$plan/agents.d/hers.toml
printf 'account = "owner:alice"\nper = "day"\nmax_cost = "3 USD"\n' >$plan/budgets.d/alice.toml
printf 'name = "nightly"\nowner = "alice"\ncron = "@daily"\n[work]\ntitle = "Alice counts"\n' >$plan/schedules.d/nightly.toml
chown -R olga:olga $plan
there() { root agent list --json | json '[row["name"] for row in it]'; }
for door in system unix:path=/run/agentd/control.sock; do
    over="over ${door%%:*}"
    says "without a terminal nothing of a plan is done, $over" "nothing was done" olga config apply --dir $plan
done
printf 'polkit.addRule(function(action, subject) {
    if (action.id === "org.agentd1.manage-agents" && subject.user === "olga") return polkit.Result.YES;
});\n' >/etc/polkit-1/rules.d/10-scene.rules
await "polkit lets olga manage agents, and no more" 10 refuses manage-budgets olga config apply --dir $plan
equal "a plan whose later steps would be refused is not begun" '[]' "$(there)"
rm -f /etc/polkit-1/rules.d/10-scene.rules
await "polkit asks again" 10 refuses manage-agents olga config apply --dir $plan
says "the wrong password is a refusal of all of it" "nothing was done" asked wrong-word config apply --dir $plan
equal "none of it is there" '[]' "$(there)"
said=$(asked olga-word config apply --dir $plan 2>&1)
says "at a terminal the person is asked, and all of it is done" "asked: 0" echo "$said"
says "once for each action that the plan needs, and not for each of its steps" "questions: 3" echo "$said"
equal "all of it is there" '["hers"]' "$(there)"
says "a second time nothing is to be done, and nobody is asked" "not asked: 0" asked olga-word config apply --dir $plan

# An automation has nobody who could prove it: the rule of the security page lets it declare for others, and nothing else.
check "an automation has a user" useradd --system --groups agentd-operator --create-home agentd-deployer
sed -i "1i automation_users = [$(id -u agentd-deployer)]" /etc/agentd/agentd.toml
check "which the configuration names" systemctl restart "$unit"
deploy() { as_user agentd-deployer /usr/bin/agentctl --address system "$@"; }
plan=/home/agentd-deployer/host
cp -r /home/olga/host $plan
rm $plan/*.d/*
printf 'name = "its"\nowner = "alice"\nskills = ["count"]\ncommand = ["/usr/bin/true"]\n' >$plan/agents.d/its.toml
printf 'account = "owner:bob"\nper = "day"\nmax_cost = "2 USD"\n' >$plan/budgets.d/bob.toml
printf 'name = "hourly"\nowner = "alice"\ncron = "@hourly"\n[work]\ntitle = "Alice counts"\n' >$plan/schedules.d/hourly.toml
chown -R agentd-deployer:agentd-deployer $plan
says "without a rule nothing of its plan is done" "nothing was done" deploy config apply --dir $plan
printf 'polkit.addRule(function(action, subject) {
    var declares = ["org.agentd1.manage-agents", "org.agentd1.manage-works", "org.agentd1.manage-budgets"];
    if (declares.indexOf(action.id) >= 0 && subject.user === "agentd-deployer") return polkit.Result.YES;
});\n' >/etc/polkit-1/rules.d/40-agentd-scripts.rules
wait_until "with the rule all of it is" 20 deploy config apply --dir $plan
equal "all of it is there" '["hers", "its"]' "$(there)"
says "on record as what nobody looked at" '"assurance":"unattended"' bash -c 'agentctl --address system ledger log --json --type AgentEnrolled -n 1 | tr -d " \n"'
refute "it freezes nothing" deploy freeze --all --reason x
refute "and judges nothing" deploy work accept "$work"
end
