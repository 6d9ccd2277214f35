#!/usr/bin/env bash
# an app that needs a moment to end gets it
. "$(dirname "$0")/../lib.sh"
mkrepo
put a grace=5 "cmd=$(script "trap 'sleep 1; echo bye >$W/bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done")"
put b
push all
a_start n1 >/dev/null
wait_until 10 'grep -rqs ready "$(a_app_logs n1 a)"'
del a
push "without a"
check "gone" wait_until 10 '[ "$(n a)" = 0 ]'
check "it did its work" same "$(cat "$W/bye")" bye
check "event remove.stop" wait_until 5 '[ "$(count_events ".kind == \"remove.stop\" and .app == \"a\"")" = 1 ]'
took=$(a_events n1 | jq -s '(map(select(.kind == "remove.stop"))[0].ts) - (map(select(.kind == "remove.start"))[0].ts)')
check "in less than 2 s ($took ms)" [ "$took" -lt 2000 ]
check "nothing was killed" same "$(count_events '.kind == "app.killed"')" 0
finish
