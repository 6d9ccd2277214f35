#!/usr/bin/env bash
# the whole tree of an app ends with it
. "$(dirname "$0")/../lib.sh"
mkrepo
# Two children, one with a session of its own, and one whose parents are gone.
tree='sleep 999 & sleep 999 & setsid sleep 999 & (setsid sh -c "sleep 999 & exit" &) ; wait'
put a "cmd=$(script "$tree")"
put b "cmd=$(script "$tree")"
push trees
a_start n1 >/dev/null
check "five processes each" wait_until 10 '[ "$(n a) $(n b)" = "5 5" ]'
b=$(pids b | sort | tr '\n' ' ')
del a
push "without a"
check "all of a are gone" wait_until 15 '[ "$(n a)" = 0 ]'
check "all of b are there" same "$(pids b | sort | tr '\n' ' ')" "$b"
put b version=2.0.0 "cmd=$(script "$tree # two")"
push "b anew"
check "an upgrade leaves nothing of the old tree" wait_until 15 \
    '[ "$(n b)" = 5 ] && [ -z "$(comm -12 <(pids b | sort) <(tr " " "\n" <<<"$b" | grep . | sort))" ]'
finish
