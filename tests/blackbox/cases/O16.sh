#!/usr/bin/env bash
# a burst of commits ends at the last one
. "$(dirname "$0")/../lib.sh"
begin a
commits=()
for i in $(seq 1 50); do
    put a "version=1.0.$i" "cmd=$(script "exec sleep $((200000 + i))")"
    commit "$i"
    commits+=("$(git -C "$W/work" rev-parse HEAD)")
done
git -C "$W/work" push -q origin HEAD:refs/heads/later
began=$(now_ms)
for id in "${commits[@]}"; do
    git -C "$W/repo.git" update-ref refs/heads/main "$id"
    sleep 0.03
done
note "50 commits in $(($(now_ms) - began)) ms"
check "ends at the last" wait_until 15 '[ "$(jqs .apps.a.version)" = 1.0.50 ] && is_running a && in_sync'
check "one process, of the last version" eval 'tr "\0" " " <"/proc/$(pids a)/cmdline" | grep -q "sleep 200050"'
sleep 1.5
steps=$(count_events '.kind == "upgrade.start"')
check "few steps in between ($steps)" [ "$steps" -le 10 ]
finish
