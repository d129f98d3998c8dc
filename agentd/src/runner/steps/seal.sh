# seal BASE RESULT COMMIT BRANCH KNOWN, and the commit on standard input: stores it, and bundles its branch.
#
# KNOWN is the commit that whoever takes the bundle has already; empty where there is none.

base=$1 result=$2 commit=$3 branch=$4 known=$5
careful_git
export GIT_DIR="$result/repo.git"
[ -d "$base/repo.git/objects" ] || give_up 'there is no base'
stored=$(git hash-object -t commit -w --stdin) || give_up 'the commit is none to git'
[ "$stored" = "$commit" ] || give_up "git names the commit $stored, and it should be $commit"
git update-ref "refs/heads/$branch" "$commit"
git bundle create -q "$result/result.bundle" "refs/heads/$branch" ${known:+"^$known"}
git bundle verify -q "$result/result.bundle" >/dev/null
printf 'agentd-step 1\0commit %s\0end\0' "$commit"
