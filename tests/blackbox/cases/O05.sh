#!/usr/bin/env bash
# an app that left the repository is removed
. "$(dirname "$0")/../lib.sh"
begin a b c
a=$(pids a) c=$(pids c)
echo kept >"$(a_app_data n1 b)/file"
del b
push "without b"
check "b is gone" wait_until 10 '[ "$(n b)" = 0 ]'
check "status no longer has it" wait_until 10 '[ "$(jqs ".apps.b")" = null ]'
check "a and c have their processes" same "$(pids a) $(pids c)" "$a $c"
check "its data is kept for a while" same "$(cat "$(a_app_data n1 b)/file")" kept
finish
