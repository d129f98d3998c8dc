# collect WORKSPACE BASE RESULT HOME COMMIT MAX_BYTES MAX_FILES (CRITERION COUNT PATTERN…)…
#
# Makes a tree of what is in WORKSPACE, in a repository of its own in RESULT. The .git of the workspace is not looked at:
# whatever a program made of it means nothing here. Links are recorded and never followed. Of HOME the size is looked at.

workspace=$1 base=$2 result=$3 home=$4 commit=$5 max_bytes=$6 max_files=$7
shift 7
careful_git
export GIT_DIR="$result/repo.git" GIT_INDEX_FILE="$result/index" GIT_WORK_TREE="$workspace"
repository "$GIT_DIR" "$(format_of "$commit")" agentd
careful "$GIT_DIR"
printf '%s\n' "$base/repo.git/objects" >"$GIT_DIR/objects/info/alternates"
copy_index "$base/index" "$GIT_INDEX_FILE" "$commit"

size=$(measure "$result" "$max_bytes" "$max_files" "$workspace" "$home")
cd "$workspace"
# git opens these before it looks what they are, and a FIFO would be a wait.
odd=$(find . \( -name .gitignore -o -name .gitattributes -o -name .gitmodules \) \
    ! -type f ! -type d ! -type l -print -quit)
[ -z "$odd" ] || give_up "the workspace cannot be read: $odd is no file"

# Submodules stay as they were: what a program put into one is in no tree.
git ls-files -s >"$result/staged"
sed -n 's/^160000 [0-9a-f]* 0\t//p' "$result/staged" >"$result/submodules"
sort_paths() { LC_ALL=C sort -z -u; }
find_files() {
    find . -mindepth 1 -path ./.git -prune -o \
        -iname .git -fprintf "$result/left" 'left repository %P\0' -prune -o \
        "$@" \
        -type d -o \
        -type f ! -readable -fprintf "$result/closed" '%P\n' -o \
        \( -type f -o -type l \) -printf '%P\0' -o \
        -fprintf "$result/left" 'left %y %P\0'
}
find_files_beside_submodules() {
    while IFS= read -r path; do
        case $path in '"'*) give_up "a submodule has a path that is not plain: $path" ;; esac
        plain="./$(printf '%s' "$path" | sed 's/[][*?\\]/\\&/g')"
        set -- "$@" -type d -path "$plain" ! -empty -fprintf "$result/left" 'left submodule %P\0' -prune -o \
            -type d -path "$plain" -prune -o
    done <"$result/submodules"
    find_files "$@"
}
: >"$result/left"
: >"$result/closed"
find_files_beside_submodules >"$result/found.unsorted"
# Left out, it would be told as removed.
[ ! -s "$result/closed" ] || give_up "the result cannot be read: $(head -n 1 "$result/closed") lets nobody read it"
sort_paths <"$result/found.unsorted" >"$result/found"

# Ignored is what git would ignore here, but for files that the base has.
code=0
git check-ignore -z --stdin <"$result/found" >"$result/ignored.unsorted" || code=$?
[ "$code" -le 1 ] || give_up 'the ignored files of the workspace cannot be told'
sort_paths <"$result/ignored.unsorted" >"$result/ignored"
comm -z -23 "$result/found" "$result/ignored" >"$result/kept"

# By way of files: where one of these fails, no list is shorter for it.
git ls-files -z >"$result/known.unsorted"
git ls-files -s -z >"$result/staged"
sort_paths <"$result/known.unsorted" >"$result/known"
sed -z -n 's/^160000 [0-9a-f]* 0\t//p' "$result/staged" >"$result/links.unsorted"
sort_paths <"$result/links.unsorted" >"$result/links"
comm -z -23 "$result/known" "$result/kept" >"$result/gone.links"
comm -z -23 "$result/gone.links" "$result/links" >"$result/gone"
git update-index -z --force-remove --stdin <"$result/gone"
git update-index -z --add --replace --stdin <"$result/kept" || give_up 'the workspace holds what no tree can hold'
tree=$(git write-tree)

differences() { git diff-tree -r --no-ext-diff --no-textconv --ignore-submodules=none --no-color "$@"; }
differences -p -M --binary --full-index "$commit" "$tree" >"$result/changes.diff"

printf 'agentd-step 1\0base %s\0tree %s\0workspace %s\0' "$commit" "$tree" "$size"
cat "$result/left"
git ls-tree -r -z --name-only "$tree" >"$result/files"
printf 'files %s\0' "$(tr -cd '\0' <"$result/files" | wc -c)"
cat "$result/files"
differences -z --raw --no-renames "$commit" "$tree"
differences -z --numstat --no-renames "$commit" "$tree"

# overlay CRITERION COUNT PATTERN… …: the tree with what these patterns name as it is in the base.
overlay() {
    criterion=$1 count=$2
    shift 2
    turned=0
    while [ "$turned" -lt "$count" ]; do
        set -- "$@" ":(glob)$1"
        shift
        turned=$((turned + 1))
    done
    shift $(($# - count))
    export GIT_INDEX_FILE="$result/overlay"
    cp "$result/index" "$GIT_INDEX_FILE"
    git ls-files -z -- "$@" >"$result/theirs"
    GIT_INDEX_FILE="$result/pristine" git ls-files -s -z -- "$@" >"$result/ours"
    git update-index -z --force-remove --stdin <"$result/theirs"
    git update-index -z --index-info <"$result/ours"
    overlaid=$(git write-tree)
    printf 'overlay %s %s\0' "$criterion" "$overlaid"
    differences -z --raw --no-renames "$overlaid" "$tree"
}
GIT_INDEX_FILE="$result/pristine" git read-tree "$commit"
while [ $# -gt 0 ]; do
    overlay "$@"
    shift $(($2 + 2))
done
printf 'end\0'
