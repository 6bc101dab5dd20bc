"""Talks to the WebSocket server through a proxy at the given address."""

import socket
import sys

from websockets.sync.client import connect

host, port = sys.argv[1].split(":")
raw = socket.create_connection((host, int(port)))
with connect("ws://echo.example/chat", sock=raw) as client:
    for message in ("one", b"two", "x" * 300_000):
        client.send(message)
        assert client.recv() == message
    client.ping().wait(20)
print("done", flush=True)
