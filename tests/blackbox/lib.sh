# shellcheck shell=bash
# What every case has: a folder, a repository, apps that are marked, and the kernel's opinion about them. Source it first, call
# `finish` last.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${OSIER:?the binary to test}"
case_name=$(basename "$0" .sh)
W=$(mktemp -d "${TMPDIR:-/tmp}/osier-$case_name.XXXXXX")
RUN="r$$-$RANDOM$RANDOM"
unset "${!OSIER_@}"
export HOME="$W/home" GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=case GIT_AUTHOR_EMAIL=case@localhost GIT_COMMITTER_NAME=case GIT_COMMITTER_EMAIL=case@localhost
mkdir -p "$HOME" "$W/tripwire"
echo untouched >"$W/tripwire/file"
chmod 640 "$W/tripwire/file"
. "$here/adapter.sh"

# ---- saying what is wrong
fail() { echo "FAIL: $*" >&2; exit 1; }
note() { printf '   %s %s\n' "$(date +%T.%1N)" "$*" >&2; }
check() { # WHAT COMMAND...
    local what=$1; shift
    "$@" || fail "$what (false: $*)"
    note "$what"
}
# Reads to the end, so that whoever writes into the pipe is not ended by SIGPIPE.
has() { grep "$@" >/dev/null; }
same() { [ "$1" = "$2" ] || { echo "   found '$1', expected '$2'" >&2; return 1; }; }
on_error() { echo "FAIL: line $1: $2" >&2; }
trap 'on_error "$LINENO" "$BASH_COMMAND"' ERR

# ---- processes, as the kernel sees them
alive() { # a zombie is not; but one whose other threads are still leaving holds its files
    local state
    state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f1) && [ -n "$state" ] || return 1
    [ "$state" != Z ] || [ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -gt 1 ]
}
marked() { { grep -lzE "^MARK=$RUN-$1\$" /proc/[0-9]*/environ 2>/dev/null || true; } | sed 's|/proc/\([0-9]*\)/.*|\1|'; }
pids() { marked "$1"; }
n() { marked "$1" | wc -l; }
environ() { tr '\0' '\n' <"/proc/$1/environ"; }
rss_kib() { awk '/^VmRSS/ {print $2}' "/proc/$1/status"; }
cpu_ms() { # user and system time of one process, its children left out
    local fields; fields=$(sed 's/.*) //' "/proc/$1/stat")
    # shellcheck disable=SC2086 # a list of words
    set -- $fields
    echo $(((${12} + ${13}) * 1000 / $(getconf CLK_TCK)))
}
fds() { { find "/proc/$1/fd" -mindepth 1 -maxdepth 1 2>/dev/null || true; } | wc -l; } # one may close meanwhile
now_ms() { date +%s%3N; }

wait_until() { # SECONDS COMMAND: it becomes true before the time is over
    local end=$(($(now_ms) + $1 * 1000))
    until eval "$2"; do
        [ "$(now_ms)" -lt "$end" ] || return 1
        sleep 0.05
    done
}
holds_for() { # SECONDS COMMAND: it stays true
    local end=$(($(now_ms) + $1 * 1000))
    while [ "$(now_ms)" -lt "$end" ]; do
        eval "$2" || return 1
        sleep 0.1
    done
}

# ---- the repository
mkrepo() {
    git init -q --bare -b main "$W/repo.git"
    git clone -q "$W/repo.git" "$W/work" 2>/dev/null
    git -C "$W/work" checkout -q -B main
    URL="file://$W/repo.git"
}
app() { jq -cn --arg name "$1" '["/bin/sh", "-c", "echo up \($name); exec sleep 100000"]'; }
script() { jq -cn --arg text "$1" '["/bin/sh", "-c", $text]'; }
put() { # NAME k=v ...: an app that is marked; without cmd one that sleeps
    local name=$1 file; shift
    file="$W/work/$(a_path "$name")"
    mkdir -p "$(dirname "$file")"
    a_spec "$name" "cmd=$(app "$name")" "env.MARK=$RUN-$name" "$@" >"$file"
}
del() { rm -r "$(dirname "$W/work/$(a_path "$1")")"; }
commit() { git -C "$W/work" add -A && git -C "$W/work" commit -q --allow-empty -m "$1"; }
push() { commit "$1" && git -C "$W/work" push -q origin main; }
head_commit() { git -C "$W/repo.git" rev-parse main; }

# A port that nobody listens on just now.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# When the oldest process of an app began, in hundredths of a second since the boot.
oldest() { local pid; for pid in $(pids "$1"); do sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20; done | sort -n | head -n 1; }

# ---- a node
jqs() { a_status n1 | jq -r "$1"; }
events() { a_events n1 | jq -c "$1"; }
count_events() { a_events n1 | jq -c "select($1)" | wc -l; } # events are written in batches: ask with wait_until
# What an operator asks for is on the disk before it is answered, and with it all that happened before.
all_is_told() { a_reconcile n1 >"$W/told" 2>&1 || true; }
is_running() { [ "$(n "$1")" = 1 ] && same_pid_in_status "$1"; } 2>/dev/null
same_pid_in_status() { [ "$(jqs ".apps[\"$1\"] | select(.state == \"running\") | .pid")" = "$(pids "$1")" ]; }
in_sync() { a_status "${1:-n1}" 2>/dev/null | jq -e --arg head "$(head_commit)" '.state == "synced" and .revision == $head' >/dev/null; }
begin() { # APPS...: a repository with these apps and a node that runs them
    local name
    mkrepo
    for name in "$@"; do put "$name"; done
    push begin
    a_start n1 >/dev/null
    for name in "$@"; do wait_until 15 "is_running $name" || fail "$name does not run: $(jqs ".apps[\"$name\"]")"; done
}

# serve_files DIR: its files by http. Sets WEB, the address without a slash at its end.
serve_files() {
    python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$1" >"$W/served" 2>&1 </dev/null &
    SERVER=$!
    wait_until 10 'has "port [0-9]" "$W/served"'
    WEB=http://127.0.0.1:$(sed -n 's/.* port \([0-9]*\).*/\1/p' "$W/served" | head -n 1)
}
stop_serving() { kill "$SERVER" && wait_until 5 "! alive $SERVER"; }

# ---- the end
quiet() { (cd "$1" && find . -printf '%y %m %p %l\n' | sort && find . -type f -print0 | sort -z | xargs -0 -r sha256sum) | sha256sum; }
tripwire=$(quiet "$W/tripwire")

finish() {
    local node
    while read -r node; do
        alive "$(a_pid "$node")" || { a_spawn "$node" && wait_until 20 "a_answers $node" || fail "$node did not come back"; }
        a_stop_apps "$node" || fail "$node: stop --all"
        a_stop "$node" || fail "$node did not leave within 20 s"
    done <"$W/nodes"
    wait_until 10 '[ -z "$(marked ".*")" ]' || fail "still there after stop: $(marked '.*' | tr '\n' ' ')"
    same "$(quiet "$W/tripwire")" "$tripwire" || fail "the tripwire was touched"
    ! grep -n "panicked at" "$W"/*.log || fail "something panicked"
    finished=yes
}

clean_up() {
    local code=$? pid node
    trap - ERR
    set +e
    if [ -z "${finished:-}" ]; then
        [ "$code" != 0 ] || { code=1; echo "FAIL: the case ended without its closing checks" >&2; }
        while read -r node; do
            echo "--- $node: status"; a_status "$node" 2>&1 | tail -c 3000
            echo "--- $node: last lines of its log"; tail -n 25 "$W/$node.log" | cut -c1-600
        done <"$W/nodes" >&2
    fi
    # Only what this case started: the daemons and keepers of its folder, and what carries its mark.
    for pid in $(grep -lzF "$W/" /proc/[0-9]*/cmdline 2>/dev/null | sed 's|/proc/\([0-9]*\)/.*|\1|') $(marked '.*'); do
        [ "$pid" = $$ ] || kill -KILL "$pid" 2>/dev/null
    done
    awk -v w="$W/" 'index($2, w) == 1 {print $2}' /proc/mounts | xargs -r umount -l
    cd / && { [ -n "${KEEP:-}" ] || rm -rf "$W"; }
    exit "$code"
}
touch "$W/nodes"
trap clean_up EXIT
trap 'exit 143' TERM INT
