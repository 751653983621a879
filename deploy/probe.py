#!/usr/local/bin/python3 -IS
"""Whether the server of this container is well: exit code 0 if it answers 200.

    probe 8000 /readyz

No more than a socket: this runs every few seconds for as long as the server does.
"""

import socket
import sys

SECONDS = 3

port, path = sys.argv[1:]
request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
try:
    with socket.create_connection(("127.0.0.1", int(port)), SECONDS) as server:
        server.sendall(request.encode())
        status = server.recv(64).split(b" ")[1]
except (OSError, IndexError) as fault:
    sys.exit(f"{path}: {fault}")
if status != b"200":
    sys.exit(f"{path}: {status.decode()}")
