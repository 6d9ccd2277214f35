#!/usr/bin/env bash
# a full disk stops nothing for good
. "$(dirname "$0")/../lib.sh"
mkrepo
put a
put b
push begin
mkdir "$W/n1"
if ! mount -t tmpfs -o size=24m,mode=0700 tmpfs "$W/n1" 2>/dev/null; then
    note "skipped: a file system of 24 MiB cannot be mounted here"
    finished=yes
    exit 0
fi
a_start n1 >/dev/null
check "both run" wait_until 15 'is_running a && is_running b'
both="$(pids a) $(pids b)"
dd if=/dev/zero of="$W/n1/ballast" bs=1M 2>/dev/null || true
put c "env.PAD=$(head -c 100000 /dev/urandom | base64 -w0 | head -c 60000)"
push "c on a full disk"
check "the apps run on" holds_for 4 "same '$both' \"\$(pids a) \$(pids b)\""
check "status answers" a_answers n1
kill -KILL "$(pids a)"
check "a restart needs no disk" wait_until 10 '[ "$(n a)" = 1 ]'
rm "$W/n1/ballast"
check "all is well when there is room again" wait_until 30 'in_sync && is_running a && is_running c'
check "b never stopped" same "$(pids b)" "${both#* }"
finish
