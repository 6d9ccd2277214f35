#!/usr/bin/env bash
# a data directory that becomes read-only stops no app, and neither does a start on one
# limit: 120 s
. "$(dirname "$0")/../lib.sh"
mkrepo
put a
put b
push begin
mkdir "$W/n1"
if ! mount -t tmpfs -o size=64m,mode=0700 tmpfs "$W/n1" 2>/dev/null; then
    note "skipped: no file system can be mounted here"
    finished=yes
    exit 0
fi
a_start n1 >/dev/null
check "both run" wait_until 15 'is_running a && is_running b'
both="$(pids a) $(pids b)"
# Files that are open for writing keep a file system from being made read-only; this is how a failing disk does it.
mount -o remount,ro "$W/n1" 2>/dev/null || mount -o remount,bind,ro "$W/n1" 2>/dev/null || {
    mount --bind "$W/n1" "$W/n1" && mount -o remount,bind,ro "$W/n1"
}
! touch "$W/n1/x" 2>/dev/null || fail "it can still be written"
put c
push "c on a read-only disk"
check "the apps run on" holds_for 4 "same '$both' \"\$(pids a) \$(pids b)\""
check "status answers, and says what is wrong" wait_until 20 'jqs ".error // empty" | has -i "read-only"'
a_kill n1
check "the apps never noticed the daemon's end" same "$both" "$(pids a) $(pids b)"
mount -o remount,rw "$W/n1" 2>/dev/null || mount -o remount,bind,rw "$W/n1" 2>/dev/null || umount "$W/n1"
a_spawn n1
check "all is well when it can be written again" wait_until 30 'in_sync && is_running a && is_running b && is_running c'
check "a and b never stopped" same "$both" "$(pids a) $(pids b)"
finish
