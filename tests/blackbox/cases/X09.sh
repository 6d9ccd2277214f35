#!/usr/bin/env bash
# a hostile tree harms only what it names
# limit: 90 s
. "$(dirname "$0")/../lib.sh"
begin good other
good=$(pids good)
spec=$(a_spec evil "cmd=$(app evil)" "env.MARK=$RUN-evil")
blob=$(git -C "$W/work" hash-object -w --stdin <<<"$spec")
link=$(printf '/etc' | git -C "$W/work" hash-object -w --stdin)
long=$(printf 'x%.0s' $(seq 300))
# Put into the index by hand: no file system holds all of these.
for path in "apps/$long/app.json" $'apps/\e[2J\a/app.json' $'apps/\xff\xfe/app.json' "apps/a b/app.json" "apps/UPPER/app.json"; do
    printf '100644 %s\t%s\0' "$blob" "$path" | git -C "$W/work" update-index --add -z --index-info
done
fourth=$(a_spec fourth "cmd=$(app fourth)" "env.MARK=$RUN-fourth" | git -C "$W/work" hash-object -w --stdin)
printf '100644 %s\tapps/fourth/app.json\0' "$fourth" | git -C "$W/work" update-index --add -z --index-info
printf '120000 %s\tapps/linked\0' "$link" | git -C "$W/work" update-index --add -z --index-info
printf '120000 %s\tapps/inside/app.json\0' "$link" | git -C "$W/work" update-index --add -z --index-info
printf '160000 %s\tapps/module\0' "$(head_commit)" | git -C "$W/work" update-index --add -z --index-info
git -C "$W/work" commit -qm hostile
git -C "$W/work" push -q origin main
check "the node says that something is wrong" wait_until 20 '[ "$(jqs .state)" = degraded ]'
note "$(jqs .error)"
check "what was there runs on" holds_for 3 "same '$good' \"\$(pids good)\""
check "nothing of it runs" same "$(n evil)" 0
check "a good app that came with it runs" wait_until 20 'is_running fourth'
# What a person sees steers no terminal.
for command in status apps "why good" tree; do
    # shellcheck disable=SC2086 # a command and its argument
    a_osier n1 $command >"$W/shown" 2>&1 || [ $? = 1 ]
    ! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$W/shown" || fail "$command shows a control character"
    iconv -f utf-8 -t utf-8 "$W/shown" >/dev/null || fail "$command shows what is no UTF-8"
done
! LC_ALL=C grep -q $'\e\[2J' "$(a_log n1)" || fail "the log shows a control character"
told='[ "$(count_events ".kind == \"spec.invalid\" and .app == \"inside\"")" = 1 ]'
check "it is told" wait_until 20 "$told"
check "it is told once, not with each look" holds_for 3 "$told"
git -C "$W/work" reset -q --hard "$(git -C "$W/work" commit-tree 'HEAD~1^{tree}' -p HEAD -m "without it")"
put third
commit mended
git -C "$W/work" push -q origin main
check "all is well when it is gone" wait_until 20 'in_sync && is_running third'
check "what was there never stopped" same "$(pids good)" "$good"
finish
