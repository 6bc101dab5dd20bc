"""A WebSocket server that sends messages back; prints its port."""

from websockets.sync.server import serve


def handle(socket):
    for message in socket:
        socket.send(message)


with serve(handle, "127.0.0.1", 0) as server:
    print("port", server.socket.getsockname()[1], flush=True)
    server.serve_forever()
