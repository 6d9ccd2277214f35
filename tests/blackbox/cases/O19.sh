#!/usr/bin/env bash
# restart types against ways to end
. "$(dirname "$0")/../lib.sh"
mkrepo
# Ends in its own way the first time, stays the second time.
once() { script "echo s >>$W/$1; [ \$(wc -l <$W/$1) = 1 ] || exec sleep 100000; $2"; }
for type in permanent transient temporary; do
    put "$type-zero" "restart=$type" backoff=200ms "cmd=$(once "$type-zero" 'exit 0')"
    put "$type-one" "restart=$type" backoff=200ms "cmd=$(once "$type-one" 'exit 1')"
    put "$type-kill" "restart=$type" backoff=200ms "cmd=$(once "$type-kill" 'kill -9 $$')"
done
push matrix
a_start n1 >/dev/null
starts() { cat "$W/$1" 2>/dev/null | wc -l; }
for name in permanent-zero permanent-one permanent-kill transient-one transient-kill; do
    check "$name is started again" wait_until 15 "[ \$(starts $name) = 2 ] && [ \$(n $name) = 1 ]"
done
for name in transient-zero temporary-zero temporary-one temporary-kill; do
    check "$name has begun" wait_until 10 "[ \$(starts $name) = 1 ]"
    check "$name is not started again" holds_for 1 "[ \$(starts $name) = 1 ] && [ \$(n $name) = 0 ]"
    check "$name is not shown as running" wait_until 3 "[ \"\$(jqs '.apps[\"$name\"].state')\" != running ]"
done
check "a job that is done is stopped" same "$(jqs '.apps["transient-zero"].state')" stopped
check "restarts are counted" same "$(jqs '[.apps[] | .restarts] | add')" 5
finish
