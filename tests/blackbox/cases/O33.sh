#!/usr/bin/env bash
# SIGTERM to the daemon leaves the apps
. "$(dirname "$0")/../lib.sh"
begin a b
put deaf grace=8 "cmd=$(script 'trap "" TERM; echo deaf; while :; do sleep 0.2; done')"
push deaf
wait_until 10 'grep -rqs deaf "$(a_app_logs n1 deaf)"'
both="$(pids a) $(pids b)"
leave() { # SIGNALS: prints what it took and the exit code
    local pid began code=0 signal
    pid=$(a_pid n1) began=$(now_ms)
    for signal in "$@"; do kill "-$signal" "$pid" 2>/dev/null || true; sleep 0.3; done
    wait "$pid" || code=$?
    echo "$(($(now_ms) - began)) $code" >"$W/left"
}
put deaf version=2.0.0 grace=8 "cmd=$(script 'exec sleep 100002')"
push "in the middle of an upgrade"
wait_until 10 '[ "$(jqs .apps.deaf.raw)" = stopping ] || [ "$(jqs .apps.deaf.raw)" = upgrading ]'
leave TERM
read -r took code <"$W/left"
check "it left in $took ms" [ "$took" -lt 15000 ]
check "with code 0" same "$code" 0
check "the apps run on" same "$(pids a) $(pids b)" "$both"
a_spawn n1
check "the upgrade is ended by the next daemon" wait_until 20 'in_sync && [ "$(n deaf)" = 1 ] && [ "$(jqs .apps.deaf.version)" = 2.0.0 ]'
leave TERM TERM
read -r took code <"$W/left"
check "twice: it left in $took ms" [ "$took" -lt 2600 ]
check "twice: the apps run on" same "$(pids a) $(pids b)" "$both"
a_spawn n1
wait_until 10 'a_answers n1'
leave INT
read -r took code <"$W/left"
check "SIGINT: code 0 in $took ms" same "$code" 0
finish
