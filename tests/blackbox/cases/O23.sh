#!/usr/bin/env bash
# no zombie lasts
# limit: 90 s
. "$(dirname "$0")/../lib.sh"
mkrepo
put a intensity=1000 backoff=0s "cmd=$(script "echo s >>$W/starts; sleep 0.8 & sleep 1; exit 1")"
push restless
a_start n1 >/dev/null
declare -A since=()
worst=0
while [ "$(cat "$W/starts" 2>/dev/null | wc -l)" -lt 20 ]; do
    [ "$SECONDS" -lt 70 ] || fail "only $(wc -l <"$W/starts") starts in $SECONDS s"
    zombies=" "
    for parent in $(a_pid n1) $(a_keeper n1); do
        for child in $(cat /proc/"$parent"/task/*/children 2>/dev/null); do
            alive "$child" || zombies+="$child "
        done
    done
    for pid in "${!since[@]}"; do
        if [[ $zombies == *" $pid "* ]] && [ -e "/proc/$pid" ]; then
            age=$(($(now_ms) - since[$pid]))
            [ "$age" -le "$worst" ] || worst=$age
        else
            unset "since[$pid]"
        fi
    done
    for pid in $zombies; do : "${since[$pid]:=$(now_ms)}"; done
    sleep 0.1
done
check "the oldest zombie was $worst ms old" [ "$worst" -lt 1000 ]
finish
