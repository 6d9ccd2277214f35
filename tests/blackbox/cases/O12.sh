#!/usr/bin/env bash
# the repository is out of reach for a while
. "$(dirname "$0")/../lib.sh"
begin a
a=$(pids a) revision=$(jqs .revision)
wait_until 10 in_sync
lines=$(wc -l <"$(a_log n1)")
mv "$W/repo.git" "$W/away.git"
check "degraded, with the reason" wait_until 8 '[ "$(jqs .state)" = degraded ] && [ -n "$(jqs ".error // empty")" ]'
check "a keeps its process" holds_for 8 "same '$a' \"\$(pids a)\""
check "the last good revision is shown" same "$(jqs .revision)" "$revision"
attempts=$(($(wc -l <"$(a_log n1)") - lines))
check "about one line an attempt ($attempts in 10 s)" [ "$attempts" -le 16 ]
mv "$W/away.git" "$W/repo.git"
check "recovers soon after" wait_until 5 in_sync
check "still the same process" same "$(pids a)" "$a"
finish
