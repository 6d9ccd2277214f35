#!/usr/bin/env bash
# a killed daemon is noticed by no app
. "$(dirname "$0")/../lib.sh"
begin a b
both="$(pids a) $(pids b)"
a_kill n1
check "the apps run on" holds_for 1 "same '$both' \"\$(pids a) \$(pids b)\""
a_spawn n1
check "in sync again" wait_until 10 in_sync
check "the same processes" same "$(pids a) $(pids b)" "$both"
check "not counted as restarts" same "$(jqs '.apps.a.restarts + .apps.b.restarts')" 0
check "status has their pids" eval 'is_running a && is_running b'

keeper=$(a_keeper n1)
check "there is one keeper" same "$(wc -w <<<"$keeper")" 1
kill -KILL "$(a_pid n1)" "$keeper"
wait_until 5 '! alive $(a_pid n1)'
check "without daemon and keeper the apps run on" same "$(pids a) $(pids b)" "$both"
a_spawn n1
check "adopted: in sync" wait_until 10 in_sync
check "adopted: the same processes" same "$(pids a) $(pids b)" "$both"
kill -KILL "$(pids a)"
check "an adopted app that dies is noticed" wait_until 10 "is_running a && [ \"\$(pids a)\" != '${both% *}' ]"

kill -KILL "$(a_keeper n1)"
check "a keeper that dies alone is replaced" wait_until 10 '[ -n "$(a_keeper n1)" ] && in_sync'
check "and b never stopped" same "$(pids b)" "${both#* }"
finish
