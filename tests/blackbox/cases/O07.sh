#!/usr/bin/env bash
# one bad spec hides nothing and removes nothing
. "$(dirname "$0")/../lib.sh"
begin a b c
a=$(pids a) b=$(pids b) c=$(pids c)
printf '{\n  "name": "b",\n  "version": }\n' >"$W/work/$(a_path b)"
put c version=2.0.0 "cmd=$(script 'exec sleep 100002')"
push "b is broken, c is new"
check "c is upgraded" wait_until 10 '[ "$(n c)" = 1 ] && [ "$(pids c)" != '"$c"' ]'
check "b's error names the file and the line" wait_until 5 'jqs .apps.b.error | has "$(a_path b):3:"'
check "the node is degraded" wait_until 5 '[ "$(jqs .state)" = degraded ]'
check "a and b run on" same "$(pids a) $(pids b)" "$a $b"
check "b's last good version is shown" same "$(jqs .apps.b.version)" 1.0.0
all_is_told
check "no removal" same "$(count_events '.kind | startswith("remove")')" 0
put b
push "b is whole again"
check "all is well again" wait_until 10 in_sync
check "b never stopped" same "$(pids b)" "$b"
finish
