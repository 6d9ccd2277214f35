#!/usr/bin/env bash
# commits and kills in a loop end in sync
# limit: 240 s
exec bash "$(dirname "$0")/../crash_loop.sh" 15
