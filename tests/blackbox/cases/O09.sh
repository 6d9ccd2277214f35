#!/usr/bin/env bash
# what depends on an app starts when that is healthy, and is removed before it
. "$(dirname "$0")/../lib.sh"
mkrepo
port=$(free_port)
# Its server begins two seconds after the app does.
put db "http=$port/" "cmd=$(script "sleep 2; exec python3 -m http.server $port --bind 127.0.0.1")"
put web depends_on=db
push both
a_start n1 >/dev/null
check "db runs first" wait_until 10 'is_running db'
check "web waits for it" same "$(n web)" 0
check "then web runs" wait_until 20 'is_running web'
check "db is healthy by then" same "$(jqs .apps.db.health)" healthy
healthy=$(events 'select(.kind == "health.changed" and .app == "db" and .metadata.to == "healthy") | .ts' | head -n 1)
began=$(events 'select(.kind == "deploy.stop" and .app == "web") | .ts' | head -n 1)
check "web was deployed after db was healthy" [ "$healthy" -le "$began" ]
db=$(oldest db) web=$(oldest web)
check "and its process is younger by two seconds" [ $((web - db)) -ge 200 ]
del db; del web; push "both leave"
check "both are gone" wait_until 20 '[ "$(n db)$(n web)" = 00 ]'
wait_until 5 '[ "$(count_events ".kind == \"remove.stop\"")" = 2 ]' || fail "both removals are told"
order=$(events 'select(.kind == "remove.stop") | .app' | tr -d '"' | tr '\n' ' ')
check "web went first" same "$order" "web db "
finish
