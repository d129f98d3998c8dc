#!/bin/sh
# An agent in plain shell: one work as JSON on stdin, the result as JSON on stdout, progress on stderr.
# Run it as a resident agent: agentctl agent serve surveyor -- examples/agents/surveyor.sh
set -eu

work=$(cat)

# The value of a string in "inputs". Enough for inputs that we write ourselves; a real agent uses a JSON parser.
input() {
    printf '%s' "$work" | tr -d '\n' | sed -n "s/.*\"inputs\":{[^}]*\"$1\":\"\\([^\"]*\\)\".*/\\1/p"
}

sources() {
    find "$root" -type d \( -name .git -o -name target \) -prune -o -type f -size -1024k -print
}

inventory() {
    sources | awk -F. '
        { n++; e = (NF > 1 && length($NF) < 9 && $NF !~ /\//) ? $NF : "none"; by[e]++ }
        END {
            printf "{\"files\":%d,\"by_extension\":{", n
            for (e in by) { printf "%s\"%s\":%d", s, e, by[e]; s = "," }
            print "}}"
        }'
}

# The first attempt answers as a hurried person would. Told by the verdict what is missing, the second one is complete.
largest() {
    line=$(sources | while IFS= read -r file; do printf '%s %s\n' "$(wc -l <"$file")" "$file"; done | sort -rn | head -n 1)
    lines=${line%% *}
    file=${line#* }
    case $work in
    *'"previous":{'*) printf '{"path":"%s","lines":%d}\n' "${file#"$root"/}" "$lines" ;;
    *) printf '{"path":"%s","lines":"%s lines or so"}\n' "${file#"$root"/}" "$lines" ;;
    esac
}

# Reads what the work that it depends on has found.
share() {
    total=$(printf '%s' "$work" | sed -n 's/.*\\"files\\":\([0-9]*\).*/\1/p')
    kind=$(input extension)
    count=$(sources | grep -c "\\.$kind\$" || true)
    printf '{"extension":"%s","files":%d,"of":%d}\n' "$kind" "$count" "${total:-0}"
}

root=$(input root)
task=$(input task)
[ -d "$root" ] || { echo "inputs.root is no directory: $root" >&2; exit 1; }
echo "$task of $root" >&2
case $task in
inventory) inventory ;;
largest) largest ;;
share) share ;;
*) echo "no such task: $task" >&2; exit 1 ;;
esac
