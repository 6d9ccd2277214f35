#!/usr/bin/env bash
# the command line keeps its codes and its channels: closed pipes, no terminal, a hung and a dead daemon
# limit: 120 s
. "$(dirname "$0")/../lib.sh"
# code COMMAND...: how it ends.
code() { local code=0; "$@" >"$W/out" 2>"$W/err" </dev/null || code=$?; echo "$code"; }
begin a b
check "in sync is 0" same "$(code a_osier n1 status)" 0
check "an unknown app is 2" same "$(code a_osier n1 show nobody)" 2
check "and says nothing on standard output" eval '[ ! -s "$W/out" ] && [ -s "$W/err" ]'
check "a wrong flag is 2" same "$(code a_osier n1 status --nonsense)" 2
check "nothing to do is 0" same "$(code a_osier n1 diff)" 0
del b; push "no b"
check "something to do is 1, or it is done already" eval '[ "$(code a_osier n1 diff)" -le 1 ]'
check "no escape sequences without a terminal" eval '! a_osier n1 apps | has -P "\x1b"'
check "one JSON document" eval 'a_osier n1 status -o json | jq -es "length == 1"'
check "a line of JSON for each event" eval 'a_osier n1 events -o jsonl | jq -es "length > 1"'

# A reader that has enough ends the writer, without a complaint.
a_osier n1 events -f -o jsonl 2>"$W/err" | head -n 1 >"$W/first"
check "a follower whose reader left is silent" eval '[ ! -s "$W/err" ] && jq -e .id "$W/first"'
check "a full disk is an error" same "$(a_osier n1 status >/dev/full 2>/dev/null; echo $?)" 2

# Ctrl-C while something is waited for.
a_osier n1 logs a -f >"$W/followed" 2>&1 </dev/null & follower=$!
check "a follower prints what is there" wait_until 10 'grep -q "up a" "$W/followed"'
# A background job of a shell without job control ignores SIGINT; TERM ends it as it ends anybody.
kill -TERM "$follower"
wait "$follower" && fail "a follower ended by a signal says 0"

kill -STOP "$(a_pid n1)"
check "a hung daemon is 2, in time" same "$(code timeout 60 "$OSIER" --config "$W/n1.toml" status -o json)" 2
check "and nothing on standard output" eval '[ ! -s "$W/out" ] && grep -q "does not answer" "$W/err"'
kill -CONT "$(a_pid n1)"
check "it is asked again" wait_until 20 'a_answers n1'
a_kill n1
check "a dead daemon is 2" same "$(code a_osier n1 status)" 2
check "and the socket that was tried is named" grep -q 'osier.sock' "$W/err"
check "what needs no daemon works" same "$(code a_osier n1 version -o json)" 0
check "doctor works" eval '[ "$(code a_osier n1 doctor)" -le 1 ]'
finish
