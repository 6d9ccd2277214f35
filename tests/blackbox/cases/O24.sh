#!/usr/bin/env bash
# a flood of output harms nobody
# limit: 90 s
. "$(dirname "$0")/../lib.sh"
mkrepo
put a "cmd=$(script 'exec yes $(head -c 200 /dev/zero | tr "\0" x)')"
put b
push flood
a_start n1 'logs.max_size="1MiB"' logs.keep=2 >/dev/null
check "both run" wait_until 10 '[ "$(n a)" = 1 ] && is_running b'
b=$(pids b)
for _ in $(seq 1 20); do
    sleep 0.8
    began=$(now_ms)
    a_answers n1
    took=$(($(now_ms) - began))
    [ "$took" -lt 1000 ] || fail "status took $took ms"
    for pid in $(a_pid n1) $(a_keeper n1); do
        [ "$(rss_kib "$pid")" -lt 204800 ] || fail "process $pid has $(rss_kib "$pid") KiB"
    done
done
note "status and memory held for 16 s"
size=$(du -sb "$(a_app_logs n1 a)" | cut -f1)
check "the files are bounded ($size bytes)" [ "$size" -le $((4 * 1024 * 1024)) ]
check "something was written" [ "$size" -gt 100000 ]
dropped=$(a_dropped n1 a)
check "what was thrown away is counted ($dropped)" [ "$dropped" -gt 0 ]
check "b is well" eval "same '$b' \"\$(pids b)\" && [ \"\$(jqs .apps.b.health)\" = healthy ]"
check "a is the same process" same "$(jqs .apps.a.restarts)" 0
finish
