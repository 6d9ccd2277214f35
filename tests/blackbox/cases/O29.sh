#!/usr/bin/env bash
# a storm of kills while commits arrive
# limit: 240 s
. "$(dirname "$0")/../lib.sh"
RANDOM=29
begin a b c d e
size_before=$(du -s "$W/n1" | cut -f1)
for round in $(seq 1 30); do
    name=$(printf 'abcde' | cut -c$((round % 5 + 1)))
    put "$name" "version=1.0.$round" "cmd=$(script "exec sleep $((300000 + round))")"
    push "round $round"
    sleep "$(printf '%d.%03d' $((RANDOM % 2)) $((RANDOM % 500)))"
    a_kill n1
    a_spawn n1
    wait_until 15 'a_answers n1' || fail "round $round: no answer"
done
check "in sync with the head" wait_until 20 in_sync
for name in a b c d e; do check "$name: one process, as status says" is_running "$name"; done
size_after=$(du -s "$W/n1" | cut -f1)
check "the data folder has not grown much ($size_before, then $size_after KiB)" [ "$size_after" -lt $((size_before * 2 + 1024)) ]
finish
