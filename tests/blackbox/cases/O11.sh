#!/usr/bin/env bash
# a version that answers 500 gives way to the last good one and is not tried again; a fixed one is deployed
# limit: 120 s
. "$(dirname "$0")/../lib.sh"
mkrepo
port=$(free_port)
cat >"$W/serve.py" <<'PY'
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(sys.argv[2])); self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer.allow_reuse_address = True
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
PY
version() { put a "version=$1" "http=$port/health" backoff=1s health_timeout=10s "cmd=$(script "exec python3 $W/serve.py $port $2")"; push "a $1"; }
version 1.0.0 200
a_start n1 >/dev/null
check "v1 is healthy" wait_until 15 '[ "$(jqs .apps.a.health)" = healthy ]'
version 2.0.0 500
check "v1 runs again" wait_until 30 '[ "$(jqs ".apps.a.version + .apps.a.health + .apps.a.desired")" = 1.0.0healthy2.0.0 ]'
check "the reason is told" wait_until 5 'jqs .apps.a.error | has "2.0.0 was not healthy within 10 s: http 500"'
check "it is an event" same "$(count_events '.kind == "rollback.stop"')" 1
pid=$(jqs .apps.a.pid)
sleep 20
check "v2 is not tried again" same "$(jqs .apps.a.pid)$(count_events '.kind == "upgrade.stop"')" "${pid}1"
version 3.0.0 200
check "v3 is deployed and healthy" wait_until 20 '[ "$(jqs ".apps.a.version + .apps.a.health")" = 3.0.0healthy ]'
check "one runs" same "$(n a)" 1
finish
