#!/usr/bin/env bash
# an app that ignores TERM is killed after its grace
. "$(dirname "$0")/../lib.sh"
mkrepo
put a grace=2 "cmd=$(script 'trap "" TERM; echo deaf; while :; do sleep 0.2; done')"
put b
push all
a_start n1 >/dev/null
wait_until 10 '[ "$(n a)" -ge 1 ] && is_running b'
wait_until 10 'grep -rqs deaf "$(a_app_logs n1 a)"'
del a
push "without a"
check "gone" wait_until 10 '[ "$(n a)" = 0 ]'
gone=$(now_ms)
check "event remove.start" wait_until 5 '[ "$(count_events ".kind == \"remove.start\" and .app == \"a\"")" = 1 ]'
took=$((gone - $(a_events n1 | jq 'select(.kind == "remove.start") | .ts')))
check "after its grace ($took ms)" [ "$took" -ge 1900 ]
check "and not much later ($took ms)" [ "$took" -le 3500 ]
check "an event says that it was killed" wait_until 5 '[ "$(count_events ".kind == \"app.killed\" and .app == \"a\"")" = 1 ]'
finish
