#!/usr/bin/env bash
# two specs with one name
. "$(dirname "$0")/../lib.sh"
begin a
a=$(pids a)
mkdir -p "$W/work/apps/other"
sed 's/1\.0\.0/3.0.0/' "$W/work/$(a_path a)" >"$W/work/apps/other/app.json"
push "a twice"
check "the error names both" wait_until 10 \
    'jqs .apps.a.error | has "apps/a" && jqs .apps.a.error | has "apps/other"'
check "a keeps its process" holds_for 3 "same '$a' \"\$(pids a)\""
check "the node is degraded" same "$(jqs .state)" degraded
finish
