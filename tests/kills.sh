#!/usr/bin/env bash
# kills.sh [KILLS] [SEED]: kills actors of a running node, 1,000 by default, and looks after each whether it converges.
# Some minutes; prints how often each role was killed, stopped and made to panic. Reproduce a failure with its seed.
set -euo pipefail
cd "$(dirname "$0")/.."
export OSIER_KILLS=${1:-1000} OSIER_SEED=${2:-$RANDOM} RUST_BACKTRACE=0
exec cargo test --all-features --test it -- --exact --nocapture \
    node_kills::a_node_converges_whichever_of_its_actors_is_killed
