#!/usr/bin/env bash
# odd output is shown harmlessly
. "$(dirname "$0")/../lib.sh"
mkrepo
put a "cmd=$(script 'head -c 5000000 /dev/zero | tr "\0" y; echo; printf "nul\0nul\n\377\376bad\n\033]0;pwned\007title\n"; echo the-end; exec sleep 100000')"
push odd
a_start n1 >/dev/null
check "read to the end" wait_until 20 'a_logs n1 a 2>/dev/null | has the-end'
began=$(now_ms)
a_logs n1 a >"$W/text"
a_logs n1 a -o jsonl >"$W/lines"
took=$(($(now_ms) - began))
check "no stall ($took ms)" [ "$took" -lt 5000 ]
check "the bad bytes are there, escaped" grep -q "bad" "$W/text"
check "no control character reaches the terminal" eval '! LC_ALL=C grep -qP "[\x00-\x08\x0b-\x1f\x7f]" "$W/text"'
check "valid UTF-8" iconv -f UTF-8 -t UTF-8 -o /dev/null "$W/text"
check "every line is JSON" eval 'jq -c . "$W/lines" >/dev/null'
check "no line is longer than the limit" eval '[ "$(wc -L <"$W/text")" -le 20000 ]'
finish
