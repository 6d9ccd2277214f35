#!/usr/bin/env bash
# nothing of the daemon's environment reaches an app
. "$(dirname "$0")/../lib.sh"
export SECRET_TOKEN=x LD_LIBRARY_PATH_OF_DAEMON=y
mkrepo
put a 'cmd=["/bin/sleep", "100000"]' # a shell would add variables of its own
push a
a_start n1 >/dev/null
check "it runs" wait_until 10 'is_running a'
check "the daemon has it" eval 'environ "$(a_pid n1)" | has ^SECRET_TOKEN='
names=$(environ "$(pids a)" | cut -d= -f1)
for name in $names; do
    case " MARK $a_documented_env " in
        *" $name "*) ;;
        *) fail "the app finds $name in its environment" ;;
    esac
done
check "what is documented is there" eval 'for name in PATH HOME OSIER_APP OSIER_NODE; do grep -qx "$name" <<<"$names"; done'
check "no argument shows it" eval '! grep -lzE "[S]ECRET_TOKEN=" /proc/[0-9]*/cmdline 2>/dev/null | grep .'
finish
