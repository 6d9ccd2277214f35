#!/usr/bin/env bash
# a commit becomes a process
. "$(dirname "$0")/../lib.sh"
begin a
check "one process" same "$(n a)" 1
check "status has the kernel's pid" is_running a
check "the revision is the branch's head" same "$(jqs .revision)" "$(head_commit)"
check "in sync" wait_until 10 in_sync
check "event deploy.start" wait_until 5 '[ "$(count_events ".kind == \"deploy.start\" and .app == \"a\"")" = 1 ]'
check "event deploy.stop with a duration" wait_until 5 \
    '[ "$(count_events ".kind == \"deploy.stop\" and .app == \"a\" and (.duration_ms | type) == \"number\"")" = 1 ]'
finish
