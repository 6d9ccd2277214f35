#!/usr/bin/env bash
# crash_loop.sh ROUNDS [SEED]: a commit, a random moment, kill -9 of the daemon (every third time of the keeper as well), a start.
# At the end: in sync, and exactly one process tree for each app. One seed makes one sequence of changes and moments.
. "$(dirname "$0")/lib.sh"
rounds=${1:?how many rounds} seed=${2:-1}
RANDOM=$seed
note "$rounds rounds, seed $seed"

names=(a b c d e f)
declare -A version=() processes=()
change() { # ROUND: one app appears, changes or leaves
    local name=${names[RANDOM % ${#names[@]}]} kind=$((RANDOM % 5))
    if [ "$kind" = 0 ] && [ -n "${version[$name]:-}" ] && [ "${#version[@]}" -gt 3 ]; then
        del "$name"
        unset "version[$name]"
        return
    fi
    version[$name]=1.0.$1
    case $((RANDOM % 4)) in
        0) processes[$name]=1; set -- "$1" "exec sleep 4000$1" ;;
        1) processes[$name]=3; set -- "$1" "sleep 999 & setsid sleep 999 & wait" ;;
        2) processes[$name]=2; set -- "$1" "trap 'exit 0' TERM; sleep 4000$1 & wait" ;;
        3) processes[$name]=2; set -- "$1" "trap '' TERM; sleep 4000$1 & wait; wait" ;;
    esac
    put "$name" "version=${version[$name]}" grace=1 backoff=200ms intensity=1000 "cmd=$(script "$2")"
}

mkrepo
for name in "${names[@]}"; do put "$name"; version[$name]=1.0.0 processes[$name]=1; done
push begin
a_start n1 >/dev/null
for round in $(seq 1 "$rounds"); do
    change "$round"
    push "round $round"
    sleep "$(printf '%d.%03d' $((RANDOM % 2)) $((RANDOM % 1000)))"
    victims=$(a_pid n1)
    [ $((round % 3)) != 0 ] || victims+=" $(a_keeper n1)"
    # shellcheck disable=SC2086 # a list of pids
    kill -KILL $victims 2>/dev/null || true
    wait_until 5 '! alive "$(a_pid n1)"'
    a_spawn n1
    wait_until 20 'a_answers n1' || fail "round $round: no answer within 20 s"
    [ $((round % 10)) != 0 ] || note "round $round: $(jqs '"\(.state), \(.apps | length) apps"')"
done

check "in sync with the head" wait_until 30 in_sync
for name in "${names[@]}"; do
    if [ -n "${version[$name]:-}" ]; then
        check "$name: exactly one tree of ${processes[$name]}" wait_until 10 "[ \$(n $name) = ${processes[$name]} ]"
        check "$name: of version ${version[$name]}" same "$(jqs ".apps.$name.version")" "${version[$name]}"
        check "$name: status has its main process" eval "pids $name | has -x \"\$(jqs .apps.$name.pid)\""
    else
        check "$name: gone" same "$(n "$name")" 0
    fi
done
finish
