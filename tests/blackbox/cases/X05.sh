#!/usr/bin/env bash
# a program that cannot be run says so at once
. "$(dirname "$0")/../lib.sh"
mkrepo
echo "no program" >"$W/text"
printf 'not\1a\2binary' >"$W/noise"
chmod 755 "$W/noise"
put missing 'cmd=["/nowhere/at-all"]'
put folder 'cmd=["/etc"]'
put text "cmd=[\"$W/text\"]"
put noise "cmd=[\"$W/noise\"]"
put good
push "four that cannot, one that can"
a_start n1 >/dev/null
check "the good one runs" wait_until 10 'is_running good'
for name in missing folder text noise; do
    check "$name has an error" wait_until 5 "[ -n \"\$(jqs '.apps.$name.error // empty')\" ]"
    note "$(jqs ".apps.$name.error")"
    check "$name does not run" same "$(n "$name")" 0
done
check "the path and the reason are said" eval 'jqs .apps.missing.error | has "/nowhere/at-all.*No such file"'
check "the node is degraded" wait_until 3 '[ "$(jqs .state)" = degraded ]'
put missing
push "mended"
check "a new commit is tried at once" wait_until 10 'is_running missing'
finish
