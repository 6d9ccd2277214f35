#!/usr/bin/env bash
# an artefact is what its digest says, or it is not there
# limit: 120 s
. "$(dirname "$0")/../lib.sh"
begin good
mkdir -p "$W/web"
pack() { # NAME WORD: a release whose program says WORD
    mkdir -p "$W/tree/bin"
    printf '#!/bin/sh\necho %s; exec sleep 100000\n' "$2" >"$W/tree/bin/run"
    chmod 755 "$W/tree/bin/run"
    tar -C "$W/tree" -czf "$W/web/$1" bin
}
digest() { sha256sum "$W/web/$1" | cut -d' ' -f1; }
pack one.tar.gz first
pack two.tar.gz second
serve_files "$W/web"
release() { put web "version=$1" 'cmd=["bin/run"]' "url=$WEB/$2" "sha256=$3"; push "web $1"; }
release 1.0.0 one.tar.gz "$(digest one.tar.gz)"
check "the release runs" wait_until 20 'is_running web'
check "it is the one that was meant" wait_until 5 'a_logs n1 web | has "^.*first"'
web=$(pids web)
before=$(quiet "$(a_artefacts n1)")
refused() { # WHY PATTERN
    check "$1: the node says so" wait_until 20 'jqs .apps.web.error | has -i "'"$2"'"'
    check "$1: the old version runs on" same "$(pids web)" "$web"
    check "$1: nothing of it is on the disk" wait_until 10 '[ "$(quiet "$(a_artefacts n1)")" = "'"$before"'" ]'
}
release 2.0.0 two.tar.gz "$(digest one.tar.gz | tr 0-9 1-90)"
refused "a wrong digest" "sha256"
release 2.0.1 two.tar.gz "$(digest two.tar.gz | tr a-f A-F)"
refused "an upper-case digest" "lower-case\|sha256"
release 2.0.2 two.tar.gz ""
refused "an empty digest" "sha256"
release 2.0.3 gone.tar.gz "$(digest two.tar.gz)"
refused "a file that is not there" "404"
head -c 100 "$W/web/two.tar.gz" >"$W/web/cut.tar.gz"
release 2.0.4 cut.tar.gz "$(digest two.tar.gz)"
refused "half of a file" "sha256"
release 3.0.0 two.tar.gz "$(digest two.tar.gz)"
check "the right digest is deployed" wait_until 20 'is_running web && [ "$(pids web)" != '"$web"' ]'
check "it is the new one" wait_until 5 'a_logs n1 web | has second'
check "the last good one is kept for a rollback" wait_until 10 '[ "$(find "$(a_artefacts n1)" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ]'
# Autonomy: the server is gone, the machine was switched off.
stop_serving
web=$(pids web)
kill -KILL "$(a_pid n1)" "$(a_keeper n1)" $web
a_spawn n1
check "it comes back from the artefact that is there" wait_until 10 'is_running web && [ "$(pids web)" != '"$web"' ]'
finish
