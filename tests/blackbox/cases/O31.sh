#!/usr/bin/env bash
# a corrupt clone mends itself
# limit: 150 s
. "$(dirname "$0")/../lib.sh"
begin a b
both="$(pids a) $(pids b)"
cache=$(a_cache n1)
check "there is a clone" [ -d "$cache/objects" ]
round=0
heals() { # WHAT
    round=$((round + 1))
    put c "version=1.0.$round"
    push "$1"
    a_spawn n1
    wait_until 20 'a_answers n1 && in_sync && [ "$(jqs .apps.c.version)" = 1.0.'$round' ]' || fail "$1: $(jqs '"\(.state): \(.error)"')"
    same "$(pids a) $(pids b)" "$both" || fail "$1: a or b was touched"
    note "healed: $1"
    a_stop n1
}
a_stop n1
objects() { find "$cache/objects" -type f; }
for file in $(objects | grep -E '/[0-9a-f]{2}/[0-9a-f]+$|\.pack$'); do chmod u+w "$file"; truncate -s 0 "$file"; done
heals "every object is empty"
cache=$(a_cache n1)
for file in $(objects | grep -E '\.(pack|idx)$|/[0-9a-f]{2}/'); do chmod u+w "$file"; truncate -s $(($(stat -c %s "$file") / 2)) "$file"; done
heals "every pack is cut"
cache=$(a_cache n1)
touch "$cache/HEAD.lock" "$cache/shallow.lock" "$cache/config.lock" "$cache/objects/pack/tmp_pack_x"
touch "$cache/refs/osier/accepted.lock" "$cache/refs/osier/fetched.lock"
heals "locks and half a pack were left behind"
cache=$(a_cache n1)
check "what was left behind is gone" eval '! find "$cache" -name "*.lock" -o -name "tmp_pack_x" | grep .'
rm "$cache/HEAD"; rm -rf "$cache/refs"
heals "no HEAD, no refs"
rm -rf "$(a_cache n1)/objects"
heals "no objects"
finish
