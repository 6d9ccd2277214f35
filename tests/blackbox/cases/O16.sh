#!/usr/bin/env bash
# a burst of commits ends at the last one
. "$(dirname "$0")/../lib.sh"
begin a
commits=()
put a version=9.9.9 "cmd=$(script "exec sleep 299999")"
cp "$W/work/$(a_path a)" "$W/template"
for i in $(seq 1 50); do
    sed "s/9\.9\.9/1.0.$i/; s/299999/$((200000 + i))/" "$W/template" >"$W/work/$(a_path a)"
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
check "one process, of the last version" eval 'tr "\0" " " <"/proc/$(pids a)/cmdline" | has "sleep 200050"'
all_is_told
steps=$(count_events '.kind == "upgrade.start"')
check "few steps in between ($steps)" [ "$steps" -le 10 ]
finish
