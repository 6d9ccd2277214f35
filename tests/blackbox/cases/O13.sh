#!/usr/bin/env bash
# a branch that is gone, and an empty repository, remove nothing
. "$(dirname "$0")/../lib.sh"
begin a b
both="$(pids a) $(pids b)" head=$(head_commit)
git -C "$W/repo.git" update-ref -d refs/heads/main
check "degraded, and the reason speaks of the branch or of no commit" wait_until 10 \
    '[ "$(jqs .state)" = degraded ] && jqs .error | has -iE "main|no commit"'
check "nothing is removed" holds_for 4 "same '$both' \"\$(pids a) \$(pids b)\""
git -C "$W/repo.git" update-ref refs/heads/main "$head"
check "recovers" wait_until 10 in_sync
check "same processes" same "$(pids a) $(pids b)" "$both"

git -C "$W/repo.git" update-ref refs/heads/other "$head"
git -C "$W/repo.git" update-ref -d refs/heads/main
check "gone beside another branch: the reason names it" wait_until 10 '[ "$(jqs .state)" = degraded ] && jqs .error | has main'
check "still nothing is removed" holds_for 2 "same '$both' \"\$(pids a) \$(pids b)\""
git -C "$W/repo.git" update-ref refs/heads/main "$head"
check "recovers again" wait_until 10 in_sync

git init -q --bare -b main "$W/empty.git"
a_start n2 "url=file://$W/empty.git" >/dev/null
check "an empty repository is an error with a reason" wait_until 10 '[ "$(a_status n2 | jq -r .state)" = error ]'
check "the reason is said" [ -n "$(a_status n2 | jq -r '.error // empty')" ]
git -C "$W/empty.git" fetch -q "$W/repo.git" main:main
check "and it is left as soon as there is a commit" wait_until 15 '[ "$(a_status n2 | jq -r .apps.a.state)" = running ]'
finish
