#!/usr/bin/env bash
# an app that always fails is given up, and tried again with a new commit
. "$(dirname "$0")/../lib.sh"
mkrepo
put a "cmd=$(script "date +%s%3N >>$W/starts; exit 1")" intensity=3 period=60
put b
push all
a_start n1 >/dev/null
check "b runs" wait_until 10 'is_running b'
b=$(pids b)
check "a is given up" wait_until 25 '[ "$(jqs .apps.a.state)" = failed ]'
check "at most four starts" [ "$(wc -l <"$W/starts")" -le 4 ]
check "more than one" [ "$(wc -l <"$W/starts")" -gt 1 ]
gaps=$(awk 'NR > 1 {print $1 - last} {last = $1}' "$W/starts" | tr '\n' ' ')
check "the gaps grow: $gaps" eval 'printf "%s\n" $gaps | sort -nc'
check "the reason is said" eval 'jqs .apps.a.error | has "1"'
check "b was left alone" same "$(pids b)" "$b"
starts=$(wc -l <"$W/starts")
check "no further try" holds_for 3 "same $starts \"\$(wc -l <$W/starts)\""
put a "cmd=$(script 'exec sleep 100003')" intensity=3 period=60
push "a is mended"
check "a new commit of a: tried again" wait_until 10 'is_running a'
finish
