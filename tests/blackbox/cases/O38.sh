#!/usr/bin/env bash
# a hostile archive writes nothing outside, and leaves nothing behind
# limit: 300 s
. "$(dirname "$0")/../lib.sh"
begin good
good=$(pids good)
python3 "$(dirname "$0")/../fixtures/mk_fixtures.py" "$W/fixtures" --big >/dev/null
mkdir -p "$W/victim" "$W/web"
echo untouched >"$W/victim/file"
serve_files "$W/fixtures/tar"
before=$(quiet "$(a_artefacts n1)") victim=$(quiet "$W/victim")
number=0
for file in "$W"/fixtures/tar/*; do
    name=$(basename "$file")
    number=$((number + 1))
    put evil "version=1.0.$number" 'cmd=["run"]' "url=$WEB/$name" "sha256=$(sha256sum "$file" | cut -d' ' -f1)"
    push "$name"
    began=$SECONDS
    check "$name is refused with a reason" wait_until 15 'jqs .apps.evil.error | has "'"$name"'"'
    note "$(jqs .apps.evil.error) ($((SECONDS - began)) s)"
    check "$name runs nothing" same "$(n evil)" 0
    check "$name leaves the disk as before" wait_until 10 '[ "$(quiet "$(a_artefacts n1)")" = "'"$before"'" ]'
    check "$name touches nobody" same "$(quiet "$W/victim")" "$victim"
    ! ls "$W"/escape* "$W"/n1/escape* /tmp/escape-abs 2>/dev/null || fail "$name wrote outside"
done
check "what was there never stopped" same "$(pids good)" "$good"
finish
