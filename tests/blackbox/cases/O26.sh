#!/usr/bin/env bash
# two hundred restarts leak no descriptor
# limit: 150 s
. "$(dirname "$0")/../lib.sh"
mkrepo
put a intensity=100000 backoff=0s "cmd=$(script "echo s >>$W/starts; exit 1")"
put b 'cmd=["/bin/sleep", "100000"]'
push restless
a_start n1 >/dev/null
starts() { cat "$W/starts" 2>/dev/null | wc -l; }
wait_until 20 '[ "$(starts)" -ge 10 ]'
daemon=$(fds "$(a_pid n1)") keeper=$(fds "$(a_keeper n1)")
check "two hundred restarts" wait_until 110 '[ "$(starts)" -ge 210 ]'
put a "cmd=$(script "exec sleep 100000")"
push "a rests"
wait_until 10 'is_running a'
daemon_after=$(fds "$(a_pid n1)") keeper_after=$(fds "$(a_keeper n1)")
check "the daemon: $daemon, then $daemon_after" [ "$((daemon_after - daemon))" -le 5 ]
check "the keeper: $keeper, then $keeper_after" [ "$((keeper_after - keeper))" -le 5 ]
check "an app has 0, 1 and 2 only" same "$(ls "/proc/$(pids b)/fd" | sort -n | tr '\n' ' ')" "0 1 2 "
finish
