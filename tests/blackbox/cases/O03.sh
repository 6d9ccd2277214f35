#!/usr/bin/env bash
# a new version replaces the old one
. "$(dirname "$0")/../lib.sh"
begin a
before=$(pids a)
put a version=2.0.0 "cmd=$(script 'echo two; exec sleep 100001')" grace=2
push two
# As often as possible: how long were there two?
twice_since=0 twice_ms=0 deadline=$(($(now_ms) + 10000))
while [ "$(now_ms)" -lt "$deadline" ]; do
    found=$(n a)
    if [ "$found" -gt 1 ]; then
        [ "$twice_since" != 0 ] || twice_since=$(now_ms)
        twice_ms=$(($(now_ms) - twice_since))
    else
        twice_since=0
    fi
    if [ "$found" = 1 ] && [ "$(pids a)" != "$before" ]; then break; fi
done
check "a new process" [ "$(pids a)" != "$before" ]
check "the old one is gone" eval "! alive $before"
check "never two for longer than the grace ($twice_ms ms)" [ "$twice_ms" -le 2000 ]
check "the new version is shown" wait_until 5 '[ "$(jqs .apps.a.version)" = 2.0.0 ] && is_running a'
check "the event names both versions" wait_until 5 \
    '[ "$(count_events ".kind == \"upgrade.stop\" and (tostring | contains(\"1.0.0\") and contains(\"2.0.0\"))")" = 1 ]'
check "a hand-over is no restart" same "$(jqs .apps.a.restarts)" 0
finish
