# prepare WORKSPACE BASE KIND COMMIT BRANCH AGENT MAX_BYTES MAX_FILES, and what was handed in on standard input.
#
# BASE gets a repository that no program ever writes to, WORKSPACE the files and a repository of its own that borrows the
# objects of BASE.

workspace=$1 base=$2 kind=$3 commit=$4 branch=$5 agent=$6 max_bytes=$7 max_files=$8
careful_git
export GIT_DIR="$base/repo.git" GIT_INDEX_FILE="$base/index"

case $kind in
git)
    format=$(format_of "$commit")
    repository "$GIT_DIR" "$format" agentd
    careful "$GIT_DIR"
    cat >"$base/handed-in"
    git fetch -q --no-tags --no-write-fetch-head "$base/handed-in" '+refs/agentd/base:refs/agentd/base' ||
        give_up 'the bundle cannot be used: it is not whole, not sound, or without refs/agentd/base (a shallow clone?)'
    rm -f "$base/handed-in"
    found=$(git rev-parse --verify -q refs/agentd/base) || give_up 'the bundle has no refs/agentd/base'
    [ "$found" = "$commit" ] || give_up "the bundle brings $found, and the work begins with $commit"
    [ "$(git cat-file -t "$commit")" = commit ] || give_up "$commit is no commit"
    # Before anything is written: a small bundle can hold a tree without end.
    git ls-tree -r -l "$commit" | awk -v bytes="$max_bytes" -v files="$max_files" '
        { count++; if ($4 ~ /^[0-9]+$/) sum += $4; if (count > files || sum > bytes) { over = 1; exit } }
        END { exit over }' || give_up "the commit has more than $max_files files or $max_bytes bytes"
    GIT_WORK_TREE="$workspace" git read-tree --reset -u "$commit"
    ;;
tar)
    # Links that lead out are made last, names that lead up are refused, and a repository in it is not taken over.
    code=0
    tar -x -f - -C "$workspace" --no-same-owner --no-same-permissions --touch --ignore-case --exclude=.git \
        2>"$base/tar" || code=$?
    # At level landlock folders keep the mode that they are made with, which tar cannot know.
    complaints=$(grep -v -e 'Cannot change mode to' -e 'Exiting with failure status' -e 'Removing leading' \
        -e 'Cannot utime' "$base/tar") || :
    [ -z "$complaints" ] || give_up "the archive cannot be unpacked: $complaints"
    [ "$code" = 0 ] || [ -s "$base/tar" ] || give_up "the archive cannot be unpacked: tar ended with $code"
    rm -f "$base/tar"
    repository "$GIT_DIR" sha1 agentd
    careful "$GIT_DIR"
    measure "$base" "$max_bytes" "$max_files" "$workspace" >"$base/size"
    (cd "$workspace" && GIT_WORK_TREE="$workspace" git add -A -f .)
    commit=$(git commit-tree "$(git write-tree)" -m 'What the work began with')
    git update-ref refs/agentd/base "$commit"
    format=sha1
    ;;
*) give_up "nobody knows content of kind $kind" ;;
esac

unset GIT_DIR GIT_INDEX_FILE
own="$workspace/.git"
repository "$own" "$format" "$branch"
printf '[user]\n\tname = %s\n\temail = %s@agentd.invalid\n' "$agent" "$agent" >>"$own/config"
printf '%s\n' "$base/repo.git/objects" >"$own/objects/info/alternates"
mkdir -p "$own/refs/heads/${branch%/*}"
printf '%s\n' "$commit" >"$own/refs/heads/$branch"
GIT_DIR="$own" copy_index "$base/index" "$own/index" "$commit"

printf 'agentd-step 1\0base %s\0end\0' "$commit"
