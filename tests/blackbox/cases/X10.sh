#!/usr/bin/env bash
# apps that end at once, fork, and say nothing harm nobody; a second daemon is told who has the place
. "$(dirname "$0")/../lib.sh"
begin good
good=$(pids good)
put done_at_once "cmd=$(script 'exit 0')" restart=transient
put fails_at_once "cmd=$(script 'exit 7')" intensity=2 backoff=50ms
put forks "cmd=$(script 'for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; exit 0')" restart=temporary
put silent "cmd=$(script 'exec >&- 2>&-; exec sleep 1000')"
push "four odd ones"
check "one is done, and in sync" wait_until 20 '[ "$(jqs ".apps.done_at_once.raw")" = stopped ] && [ "$(jqs ".apps.done_at_once.sync")" = synced ]'
check "one has given up and says why" wait_until 20 '[ "$(jqs ".apps.fails_at_once.raw")" = failed ] && jqs ".apps.fails_at_once.error" | has "exit 7"'
check "one leaves nothing behind" wait_until 20 '[ "$(n forks)" = 0 ] && [ "$(jqs ".apps.forks.raw")" = stopped ]'
check "one runs without a word" wait_until 20 'is_running silent'
first=$(a_pid n1)
"$OSIER" --config "$W/n1.toml" --color never daemon >"$W/second.log" 2>&1 && fail "a second daemon runs"
check "a second daemon names the first" has "in use by process $first" "$W/second.log"
check "which goes on" same "$(jqs .state)" degraded
check "the good one never stopped" same "$(pids good)" "$good"
finish
