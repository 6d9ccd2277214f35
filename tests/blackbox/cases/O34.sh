#!/usr/bin/env bash
# a server that takes connections and never answers is unhealthy by timeouts, one probe at a time, and delays nobody
# limit: 90 s
. "$(dirname "$0")/../lib.sh"
mkrepo
hangs=$(free_port); good=$(free_port)
cat >"$W/hang.py" <<'PY'
import socket, sys, threading
lock, now, most, count = threading.Lock(), 0, 0, 0
def hold(connection):
    global now, most, count
    with lock:
        now += 1; count += 1; most = max(most, now)
        open(sys.argv[2], "w").write(f"{most} {count}\n")
    while connection.recv(4096):
        pass
    with lock:
        now -= 1
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=hold, args=(server.accept()[0],), daemon=True).start()
PY
put a "http=$hangs/health" backoff=1s intensity=50 "cmd=$(script "exec python3 $W/hang.py $hangs $W/counts")"
put b "http=$good/" "cmd=$(script "exec python3 -m http.server $good --bind 127.0.0.1")"
push both
a_start n1 >/dev/null
check "b is healthy" wait_until 15 '[ "$(jqs .apps.b.health)" = healthy ]'
b=$(pids b)
check "a is unhealthy" wait_until 20 '[ "$(count_events ".kind == \"health.changed\" and .app == \"a\" and .metadata.to == \"unhealthy\"")" -ge 1 ]'
why=$(events 'select(.kind == "health.changed" and .app == "a" and .metadata.to == "unhealthy") | .metadata.reason' | head -n 1)
check "by timeouts: $why" has "no answer" <<<"$why"
check "it is restarted, and that is counted" wait_until 20 '[ "$(jqs .apps.a.restarts)" -ge 1 ]'
check "for that reason" wait_until 5 '[ "$(count_events ".kind == \"app.restart\" and .app == \"a\" and .metadata.exit == \"unhealthy\"")" -ge 1 ]'
check "one probe at a time: $(cat "$W/counts")" same "$(cut -d' ' -f1 "$W/counts")" 1
began=$(now_ms)
a_status n1 >/dev/null
check "status answers as ever" [ $(($(now_ms) - began)) -lt 3000 ]
check "b never noticed" holds_for 5 "same '$b' \"\$(pids b)\" && [ \"\$(jqs .apps.b.restarts)\" = 0 ] && [ \"\$(jqs .apps.b.health)\" = healthy ]"
finish
