#!/usr/bin/env bash
# rewritten history is refused until a person accepts it
. "$(dirname "$0")/../lib.sh"
begin a
one=$(head_commit)
put a version=2.0.0 "cmd=$(script 'exec sleep 100002')"
push two
check "version 2 runs" wait_until 10 '[ "$(jqs .apps.a.version)" = 2.0.0 ] && is_running a'
a=$(pids a)
git -C "$W/work" push -qf origin "$one:main"
check "refused" wait_until 10 '[ "$(jqs .blocked.kind)" = history ]'
check "a stays as it is" holds_for 4 "same '$a' \"\$(pids a)\""
check "event history.refused" wait_until 5 '[ "$(count_events ".kind == \"history.refused\"")" -ge 1 ]'
check "told once, not at every poll" [ "$(count_events '.kind == "history.refused"')" -le 2 ]
a_kill n1
a_spawn n1
wait_until 10 'a_answers n1'
check "still refused after a crash" wait_until 10 '[ "$(jqs .blocked.kind)" = history ]'
check "and a is the same" same "$(pids a)" "$a"
a_accept n1 "$one"
check "accepted: version 1 runs" wait_until 10 '[ "$(jqs .apps.a.version)" = 1.0.0 ] && is_running a'
check "in sync" wait_until 10 in_sync
finish
