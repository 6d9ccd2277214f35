#!/usr/bin/env bash
# everything is killed at once and the git server is gone
. "$(dirname "$0")/../lib.sh"
begin a b
put c depends_on=a
push c
wait_until 10 'is_running c && in_sync'
revision=$(head_commit)
put b version=2.0.0 "cmd=$(script 'exec sleep 100002')"
commit "never pushed"
mv "$W/repo.git" "$W/away.git"
keeper=$(a_keeper n1)
# shellcheck disable=SC2046 # lists of pids
kill -KILL "$(a_pid n1)" $keeper $(marked '.*')
wait_until 5 '[ -z "$(marked ".*")" ] && ! alive "$(a_pid n1)"'
began=$(now_ms)
a_spawn n1
check "all run again within 5 s" wait_until 5 '[ "$(n a) $(n b) $(n c)" = "1 1 1" ]'
note "$(($(now_ms) - began)) ms"
check "degraded, with the reason" wait_until 5 '[ "$(jqs .state)" = degraded ] && [ -n "$(jqs ".error // empty")" ]'
check "from the accepted commit" same "$(jqs .revision)" "$revision"
check "of the accepted version" same "$(jqs .apps.b.version)" 1.0.0
check "and status knows them" wait_until 5 'is_running a && is_running b && is_running c'
mv "$W/away.git" "$W/repo.git"
check "recovers with the server" wait_until 10 in_sync
finish
