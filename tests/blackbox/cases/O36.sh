#!/usr/bin/env bash
# names that want to be more than names
. "$(dirname "$0")/../lib.sh"
mkrepo
put good
names=('../../x' /x -rf a/b "$(printf 'n%.0s' $(seq 300))" '' A $'line\nbreak' '<script>alert(1)</script>' '$(id)' .. $'esc\e]0;x\a')
i=0
for name in "${names[@]}"; do
    i=$((i + 1))
    mkdir -p "$W/work/apps/bad$i"
    jq -n --arg name "$name" --arg mark "$RUN-bad$i" \
        '{name: $name, version: "1", command: ["/bin/sleep", "1000"], env: {MARK: $mark}}' >"$W/work/apps/bad$i/app.json"
done
push names
outside=$(quiet "$W/work")
a_start n1 >/dev/null
check "the good one runs" wait_until 10 'is_running good'
wait_until 5 '[ "$(jqs ".apps | length")" -gt '"$i"' ]' || fail "$(jqs '.apps | keys')"
for j in $(seq 1 $i); do
    message=$(jqs "[.apps[] | .error // empty | select(contains(\"apps/bad$j/\"))] | first // empty")
    [ -n "$message" ] || fail "no message about apps/bad$j: ${names[$((j - 1))]}"
    note "$(head -c 160 <<<"$message")"
    [ "$(n "bad$j")" = 0 ] || fail "apps/bad$j runs"
done
check "JSON stays valid" eval 'a_osier n1 apps -o json | jq -e . >/dev/null || [ "${PIPESTATUS[0]}" = 1 ]'
a_osier n1 apps >"$W/table.txt" || true
a_validate "$W/work" >"$W/validate.txt" 2>&1 && fail "validate says yes"
check "the screen stays clean" eval '! LC_ALL=C grep -qP "[\x00-\x08\x0b-\x1f]" "$W/table.txt" "$W/validate.txt"'
check "validate names each" eval 'for j in $(seq 1 '"$i"'); do grep -q "apps/bad$j/" "$W/validate.txt" || exit 1; done'
check "nothing outside was touched" same "$(quiet "$W/work")" "$outside"
check "no folder was made beside" eval '! find "$W/n1" -name "*script*" -o -name x -o -name "-rf" | grep .'
finish
