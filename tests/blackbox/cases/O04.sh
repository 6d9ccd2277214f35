#!/usr/bin/env bash
# a changed environment is a reconfiguration
. "$(dirname "$0")/../lib.sh"
begin a
before=$(pids a)
put a env.X=42
push "X is 42"
check "a new process" wait_until 10 '[ "$(n a)" = 1 ] && [ "$(pids a)" != '"$before"' ]'
check "it has X" eval 'environ "$(pids a)" | has -x X=42'
check "event reconfigure" wait_until 5 '[ "$(count_events ".kind == \"reconfigure.stop\" and .app == \"a\"")" = 1 ]'
check "no second deployment" same "$(count_events '.kind == "deploy.start"')" 1
check "no upgrade" same "$(count_events '.kind | startswith("upgrade")')" 0
finish
