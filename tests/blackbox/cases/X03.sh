#!/usr/bin/env bash
# garbage on the sockets harms nobody
. "$(dirname "$0")/../lib.sh"
begin a
a=$(pids a)
mapfile -t sockets < <(find "$W/n1" -type s)
check "there are sockets" [ "${#sockets[@]}" -ge 1 ]
for socket in "${sockets[@]}"; do
    timeout 30 python3 - "$socket" <<'PY' || fail "$socket: nobody listens any more"
import os, random, socket, struct, sys
random.seed(3)
os.chdir(os.path.dirname(sys.argv[1]))      # a socket's address holds 107 bytes
name = os.path.basename(sys.argv[1])
held = []
for turn in range(200):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(name)                # waits for its turn
    connection.settimeout(5)
    kind = turn % 5
    data = (random.randbytes(random.randint(1, 4096)) if kind == 0
            else struct.pack(">I", 0xffffffff) if kind == 1 else struct.pack("<I", 0x7fffffff) + b"\x00" * 64 if kind == 2
            else struct.pack(">I", 8) + random.randbytes(8) if kind == 3 else b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    try:
        connection.sendall(data)
    except OSError:
        pass
    if turn % 20 == 0:
        held.append(connection)             # said half a sentence and stays
    else:
        connection.close()
PY
    note "survived: ${socket#"$W/"}"
done
check "status answers" a_answers n1
check "a is untouched" eval "is_running a && same '$a' \"\$(pids a)\""
put a env.X=1
push "still at work"
check "and commits are still carried out" wait_until 10 in_sync
finish
