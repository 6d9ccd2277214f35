#!/usr/bin/env bash
# an app that was killed is back
. "$(dirname "$0")/../lib.sh"
begin a b
a=$(pids a) b=$(pids b)
kill -KILL "$a"
check "a new process within its back-off" wait_until 5 '[ "$(n a)" = 1 ] && [ "$(pids a)" != '"$a"' ]'
check "one restart" wait_until 3 '[ "$(jqs .apps.a.restarts)" = 1 ] && is_running a'
check "b was left alone" same "$(pids b) $(jqs .apps.b.restarts)" "$b 0"
check "in sync" wait_until 10 in_sync
finish
