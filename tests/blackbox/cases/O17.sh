#!/usr/bin/env bash
# fifty apps
# limit: 150 s
. "$(dirname "$0")/../lib.sh"
mkrepo
put a00
for i in $(seq -w 1 49); do
    mkdir -p "$W/work/apps/a$i"
    sed "s/a00/a$i/g" "$W/work/$(a_path a00)" >"$W/work/$(a_path "a$i")"
done
push fifty
worst=0
answer() {
    local began; began=$(now_ms)
    a_answers n1 || true
    began=$(($(now_ms) - began))
    [ "$began" -le "$worst" ] || worst=$began
}
all_run() { answer; [ "$(marked '.*' | wc -l)" = 50 ] && [ "$(jqs '[.apps[] | select(.state == "running")] | length')" = 50 ]; }
a_start n1 >/dev/null
check "all run within 30 s" wait_until 30 all_run
check "the slowest answer took $worst ms" [ "$worst" -lt 500 ]
before=$(marked '.*' | sort)
check "memory: $(rss_kib "$(a_pid n1)") KiB" [ "$(rss_kib "$(a_pid n1)")" -lt 153600 ]
a_stop n1
a_spawn n1
wait_until 20 'a_answers n1'
check "all run after a restart of the daemon" wait_until 30 all_run
check "the same ones" same "$(marked '.*' | sort)" "$before"
finish
