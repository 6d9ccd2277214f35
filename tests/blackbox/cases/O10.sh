#!/usr/bin/env bash
# a cycle and an unknown dependency hold back exactly those apps
. "$(dirname "$0")/../lib.sh"
mkrepo
put a; put x depends_on=y; put y depends_on=x; put z depends_on=nope
push all
a_start n1 >/dev/null
check "a runs" wait_until 10 'is_running a'
check "the cycle is printed" wait_until 5 'jqs .apps.x.error | has -E "x.*y.*x|y.*x.*y"'
check "the missing name is printed" eval 'jqs .apps.z.error | has nope'
check "none of them runs" same "$(n x)$(n y)$(n z)" 000
check "none of them is shown as running" same "$(jqs '[.apps.x,.apps.y,.apps.z] | map(.state) | unique | map(select(. == "running" or . == "stopped")) | length')" 0
sleep 1
began=$(cpu_ms "$(a_pid n1)")
sleep 6
used=$(($(cpu_ms "$(a_pid n1)") - began))
# Polling each second in a build without optimisation is most of it.
check "it does not spin: $used ms of CPU in 6 s" [ "$used" -lt 600 ]
finish
