# check BASE RESULT JUDGE HOME COMMIT TREE COMMAND: checks TREE out into JUDGE and becomes the command there.
#
# RESULT is empty where the base itself is judged. The command's exit code is the step's; 125 before it began.

base=$1 result=$2 judge=$3 home=$4 commit=$5 tree=$6 command=$7
trap 'exit 125' EXIT

(
    careful_git
    export GIT_DIR="$judge/.git" GIT_WORK_TREE="$judge"
    repository "$GIT_DIR" "$(format_of "$commit")" agentd
    careful "$GIT_DIR"
    printf '%s\n' "$base/repo.git/objects" ${result:+"$result/repo.git/objects"} >"$GIT_DIR/objects/info/alternates"
    head=$(git commit-tree "$tree" -p "$commit" -m 'The result, as it is judged')
    printf '%s\n' "$head" >"$GIT_DIR/HEAD"
    git read-tree --reset -u "$head"
)

for name in AUTHOR COMMITTER; do
    unset "GIT_${name}_NAME" "GIT_${name}_EMAIL" "GIT_${name}_DATE"
done
cd "$judge"
# What is written here cannot be taken back by what it judges.
printf '\036' >&2
exec /bin/sh -c "$command"
