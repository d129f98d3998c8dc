# What the steps share that use git. Nothing of a host, a home or a workspace configures it, and nothing is run by it:
# no hooks, no filters, no drivers, no monitors. Modes and times are never changed by a path, which level landlock refuses.

set -eu
umask 022

careful_git() {
    export LC_ALL=C GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
    export GIT_NO_REPLACE_OBJECTS=1 GIT_OPTIONAL_LOCKS=0 GIT_NO_LAZY_FETCH=1
}

# A reason for people, and the exit code of steps that fail.
give_up() {
    printf '%s\n' "$*" >&2
    exit 125
}

# copy_index FROM TO COMMIT: with the time of the file. git compares whole seconds, and holds a file for unchanged that was
# written in the second of its entry, unless the index is no younger than that.
copy_index() {
    cp --preserve=timestamps "$1" "$2" || GIT_INDEX_FILE="$2" git read-tree "$3"
}

# repository FOLDER FORMAT BRANCH: an empty one, by hand, so that no template has a word in it.
repository() {
    mkdir -p "$1/objects/info" "$1/objects/pack" "$1/refs/heads" "$1/refs/tags" "$1/info"
    printf 'ref: refs/heads/%s\n' "$3" >"$1/HEAD"
    if [ "$2" = sha256 ]; then
        printf '[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n'
    else
        printf '[core]\n\trepositoryformatversion = 0\n'
    fi >"$1/config"
    printf '[core]\n\tfilemode = true\n\tsymlinks = true\n' >>"$1/config"
}

# careful FOLDER: what a repository needs that agentd itself works with.
careful() {
    cat >>"$1/config" <<'END'
[core]
	hooksPath = /dev/null
	fsmonitor = false
	untrackedCache = false
	protectHFS = true
	protectNTFS = true
	autocrlf = false
	safecrlf = false
	attributesFile = /dev/null
	excludesFile = /dev/null
[gc]
	auto = 0
[maintenance]
	auto = false
[submodule]
	recurse = false
[index]
	threads = 1
	version = 2
[pack]
	threads = 1
[fetch]
	unpackLimit = 1
	fsckObjects = true
	recurseSubmodules = false
# What old and honest histories have.
[fetch "fsck"]
	badDate = warn
	badDateOverflow = warn
	badEmail = warn
	badName = warn
	badTimezone = warn
	missingEmail = warn
	missingNameBeforeEmail = warn
	missingSpaceBeforeDate = warn
	missingSpaceBeforeEmail = warn
	zeroPaddedDate = warn
	zeroPaddedFilemode = warn
END
    # Above all attributes of the content: what is text is seen by looking, and nothing is filtered.
    printf '* !diff !filter !merge\n' >"$1/info/attributes"
}

# format_of ID
format_of() {
    case ${#1} in
    40) echo sha1 ;;
    64) echo sha256 ;;
    *) give_up "$1 is no id of a commit" ;;
    esac
}

# Who makes what nobody signs.
export GIT_AUTHOR_NAME=agentd GIT_AUTHOR_EMAIL=agentd@localhost GIT_AUTHOR_DATE='946684800 +0000'
export GIT_COMMITTER_NAME=agentd GIT_COMMITTER_EMAIL=agentd@localhost GIT_COMMITTER_DATE='946684800 +0000'

# measure SCRATCH BYTES FILES WORKSPACE [HOME]: refuses what is larger, and what cannot be seen whole, and says how large it
# is. Bytes are those that a file claims or those that it takes, whichever are more.
measure() {
    : >"$1/unseen"
    {
        find "$4" -mindepth 1 -printf '%s %b %P\n' 2>>"$1/unseen" || echo "$4" >>"$1/unseen"
        [ -z "${5-}" ] || find "$5" -mindepth 1 -printf '%s %b ~/%P\n' 2>>"$1/unseen" || echo "$5" >>"$1/unseen"
    } | awk -v bytes="$2" -v files="$3" '
        $1 ~ /^[0-9]+$/ && $2 ~ /^[0-9]+$/ {
            size = $1 > $2 * 512 ? $1 : $2 * 512
            sum += size; count++
            if (size > largest) { largest = size; name = $0; sub(/^[0-9]+ [0-9]+ /, "", name) }
            if (count > files) { over = 1; exit }
        }
        END {
            if (over) { printf "the workspace and the home have more than %d files\n", files > "/dev/stderr"; exit 1 }
            if (sum > bytes) {
                printf "the workspace and the home have %.0f bytes, at most %.0f are allowed; ", sum, bytes > "/dev/stderr"
                printf "the largest file is %s with %.0f\n", name, largest > "/dev/stderr"
                exit 1
            }
            printf "%d %.0f", count, sum
        }' || exit 125
    [ ! -s "$1/unseen" ] || give_up "how much there is cannot be seen: $(head -n 1 "$1/unseen")"
}

