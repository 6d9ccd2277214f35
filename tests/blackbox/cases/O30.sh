#!/usr/bin/env bash
# torn state never keeps a node from starting
# limit: 420 s
. "$(dirname "$0")/../lib.sh"
begin a b
a_stop n1
state_files() { find "$W/n1" -type f -not -path '*/objects/*' -not -path "*.git/*" | sort; }
note "files: $(state_files | sed "s|$W/n1/||" | tr '\n' ' ')"
damage() {
    case $1 in
        empty) : >"$2" ;;
        half) truncate -s $(($(stat -c %s "$2") / 2)) "$2" ;;
        noise) head -c "$(($(stat -c %s "$2") + 64))" /dev/urandom >"$2" ;;
    esac
}
mapfile -t files < <(state_files)
for file in "${files[@]}"; do
    for way in empty half noise; do
        [ -f "$file" ] || continue
        damage "$way" "$file"
        a_spawn n1
        wait_until 20 'a_answers n1' || fail "$way $file: does not start"
        wait_until 20 'in_sync && is_running a && is_running b' ||
            fail "$way $file: not in sync, a $(n a) b $(n b) processes, $(jqs '"\(.state): \(.error)"')"
        a_stop n1
    done
    note "survived: ${file#"$W/n1/"}"
done
check "the damage was reported" grep -qiE "unreadable|set aside|damaged|corrupt|torn|rebuil" "$(a_log n1)"
finish
