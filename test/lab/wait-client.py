"""Uploads that only wait: `python3 wait-client.py ADDRESS NAME CA-FILE COUNT PROBE-SECONDS SECONDS`.

Each has its own TLS connection, says that it will send a body, sends none, and has the kernel probe the connection. Prints "ready" when all
are there; after SECONDS a JSON line: for each that has ended, after how many seconds and how, and how many are left. (Bun's sockets do not
take the interval between two probes.)
"""

import json
import select
import socket
import ssl
import sys
import time

address, name, ca_file = sys.argv[1:4]
count, probe, seconds = map(int, sys.argv[4:7])
context = ssl.create_default_context(cafile=ca_file)
sockets = []
for _ in range(count):
    plain = socket.create_connection((address, 443), 10)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, probe)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, probe)
    secure = context.wrap_socket(plain, server_hostname=name)
    secure.sendall(f"PUT /waits HTTP/1.1\r\nHost: {name}\r\nContent-Length: 10\r\n\r\n".encode())
    # What is readable may be a part of a record, such as a session ticket: a read must not wait for more.
    secure.setblocking(False)
    sockets.append(secure)
begin = time.monotonic()
print("ready", flush=True)
ended = []
while time.monotonic() - begin < seconds:
    for found in select.select(sockets, [], [], 0.2)[0]:
        try:
            how = "answer" if found.recv(4096) else "end"
        except ssl.SSLWantReadError:
            continue
        except OSError as error:
            how = str(error.strerror or error)
        ended.append({"seconds": time.monotonic() - begin, "how": how})
        sockets.remove(found)
print(json.dumps({"ended": ended, "left": len(sockets)}), flush=True)
