#!/usr/bin/env bash
# reconciling again changes nothing
. "$(dirname "$0")/../lib.sh"
begin a
before=$(pids a)
wait_until 10 in_sync
for _ in 1 2 3 4 5; do a_reconcile n1; done
push "nothing changed"
check "the revision advances" wait_until 10 in_sync
check "same process" same "$(pids a)" "$before"
check "no restarts" same "$(jqs .apps.a.restarts)" 0
all_is_told
check "one deployment" same "$(count_events '.kind == "deploy.start"')" 1
check "nothing else was done" same "$(count_events '.kind | test("upgrade|reconfigure|remove")')" 0
finish
