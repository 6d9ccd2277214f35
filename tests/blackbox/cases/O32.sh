#!/usr/bin/env bash
# a second daemon on the same data
. "$(dirname "$0")/../lib.sh"
begin a
a=$(pids a) first=$(a_pid n1)
began=$(now_ms)
code=0
timeout 10 "$OSIER" --config "$W/n1.toml" daemon >"$W/second.log" 2>&1 </dev/null || code=$?
took=$(($(now_ms) - began))
check "it leaves with an error" eval '[ "$code" != 0 ] && [ "$code" != 124 ]'
check "soon ($took ms)" [ "$took" -lt 3000 ]
check "it says who holds the data" grep -qw "$first" "$W/second.log"
check "the first is unharmed" eval 'alive "$first" && a_answers n1 && is_running a'
check "and so is the app" same "$(pids a)" "$a"
put a env.X=1
push "the first still works"
check "the first still works" wait_until 10 in_sync
finish
