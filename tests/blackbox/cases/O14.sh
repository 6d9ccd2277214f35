#!/usr/bin/env bash
# a commit that would remove everything waits for a person's word
. "$(dirname "$0")/../lib.sh"
begin a b c d e
all="$(pids a) $(pids b) $(pids c) $(pids d) $(pids e)"
rm -r "$W/work/apps"
push "all gone"
check "blocked, as a mass removal" wait_until 10 '[ "$(jqs .blocked.kind)" = prune ]'
check "it says how to accept" eval 'jqs .blocked.accept | has reconcile'
check "the node is degraded with a reason" eval '[ "$(jqs .state)" = degraded ] && [ -n "$(jqs ".error // empty")" ]'
check "all five run" holds_for 3 "same '$all' \"\$(pids a) \$(pids b) \$(pids c) \$(pids d) \$(pids e)\""
a_accept n1 "$(head_commit)"
check "accepted: all are removed" wait_until 10 '[ -z "$(marked ".*")" ]'
check "nothing is blocked any more" wait_until 5 '[ "$(jqs .blocked)" = null ]'
finish
