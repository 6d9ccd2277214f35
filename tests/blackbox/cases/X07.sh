#!/usr/bin/env bash
# the demo comes up, and takes its apps along however it ends
. "$(dirname "$0")/../lib.sh"
export TMPDIR="$W/tmp"
mkdir "$TMPDIR"
toys() { { grep -lzE '^OSIER_DATA='"$TMPDIR" /proc/[0-9]*/environ 2>/dev/null || true; } | wc -l; }
for signal in INT TERM KILL HUP; do
    began=$(now_ms)
    "$OSIER" demo >"$W/demo-$signal.log" 2>&1 </dev/null &
    pid=$!
    check "SIG$signal: four apps run within 5 s" wait_until 5 '[ "$(toys)" -ge 4 ]'
    note "$(($(now_ms) - began)) ms"
    check "SIG$signal: it says so" wait_until 5 'grep -q "4 apps run" "$W/demo-$signal.log"'
    kill "-$signal" "$pid"
    check "SIG$signal: the demo ends" wait_until 15 "! alive $pid"
    check "SIG$signal: its apps end with it" wait_until 15 '[ "$(toys)" = 0 ]'
    [ "$signal" = KILL ] || check "SIG$signal: nothing is left" wait_until 5 '[ -z "$(ls -A "$TMPDIR")" ]'
    rm -rf "${TMPDIR:?}"/*
done
finish
