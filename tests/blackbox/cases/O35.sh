#!/usr/bin/env bash
# a link in the tree leads nowhere
# limit: 200 s
. "$(dirname "$0")/../lib.sh"
secret="marker-$RANDOM$RANDOM"
printf 'name: x\nversion: 1.0.0\ncommand: ["%s"]\n' "$secret" >"$W/secret.yaml"
mkrepo
put a
mkdir -p "$W/work/apps/x" "$W/work/apps/part"
ln -s "$W/secret.yaml" "$W/work/apps/x/app.yaml"
ln -s / "$W/work/apps/y"
push links
a_start n1 >/dev/null
check "the others are deployed" wait_until 10 'is_running a'
check "x is refused, as a link" wait_until 5 'jqs .apps.x.error | has -i link'
check "y is refused, as a link" eval 'jqs .apps.y.error | has -i link'
{
    a_osier n1 status -o json || true; a_osier n1 apps -o json || true; a_events n1
    a_osier n1 show app/x || true; a_osier n1 why x || true; a_logs n1 x || true
    a_validate "$W/work" || true; cat "$(a_log n1)"
} >"$W/all.txt" 2>&1
check "the secret is in nothing that is shown" eval '! grep -q "$secret" "$W/all.txt"'
check "nor in anything that is stored" eval '! grep -rq "$secret" "$W/n1"'

python3 "$here/fixtures/mk_fixtures.py" "$W/fixtures" >/dev/null
for repository in "$W"/fixtures/git/*.git; do
    name=$(basename "$repository" .git)
    a_start "h-$name" "url=file://$repository" interval=60s >/dev/null || fail "$name: the daemon does not answer"
    wait_until 25 '[[ "$(a_status "h-'"$name"'" | jq -r .state)" =~ error|degraded|synced ]]' ||
        fail "$name: no verdict: $(a_status "h-$name" | jq -c '{state, error}')"
    a_status "h-$name" | jq -e . >/dev/null || fail "$name: not JSON"
    a_osier "h-$name" status 2>/dev/null >"$W/shown.txt" || true
    ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f]' "$W/shown.txt" || fail "$name: control characters on the screen"
    note "$name: $(a_status "h-$name" | jq -c '[.state, .error]' | cut -c1-150)"
    a_stop "h-$name"
    sed -i "/^h-$name\$/d" "$W/nodes"
done
check "nothing ran or was written outside" eval '! ls -d /tmp/pwned-* /tmp/escape-* 2>/dev/null | grep .'
finish
