#!/usr/bin/env bash
# a version that answers 500 is not healthy, and a fixed one is deployed (going back to the old one by itself is another matter)
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
version() { put a "version=$1" "http=$port/health" backoff=1s "cmd=$(script "exec python3 $W/serve.py $port $2")"; push "a $1"; }
version 1.0.0 200
a_start n1 >/dev/null
check "v1 is healthy" wait_until 15 '[ "$(jqs .apps.a.health)" = healthy ]'
version 2.0.0 500
check "v2 is not healthy" wait_until 20 '[ "$(count_events ".kind == \"health.changed\" and .metadata.to == \"unhealthy\"")" -ge 1 ]'
check "the reason is told" wait_until 10 'events "select(.kind == \"health.changed\" and .metadata.to == \"unhealthy\") | .metadata.reason" | has "http 500"'
check "it is never called healthy" same "$(jqs '.apps.a | select(.health == "healthy") | .version' | has 2.0.0 && echo yes || echo no)" no
version 3.0.0 200
check "v3 is deployed and healthy" wait_until 20 '[ "$(jqs ".apps.a.version + .apps.a.health")" = 3.0.0healthy ]'
check "one runs" same "$(n a)" 1
finish
