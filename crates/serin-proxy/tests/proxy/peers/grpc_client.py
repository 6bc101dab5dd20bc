"""Calls the gRPC server through a proxy at the given address."""

import queue
import sys

import grpc

options = [("grpc.default_authority", "echo.example")]
channel = grpc.insecure_channel(sys.argv[1], options=options)

# One message each way, and trailers.
call = channel.unary_unary("/test.Test/Echo")
answer, info = call.with_call(b"x" * 200_000, timeout=20)
assert answer == b"x" * 200_000
assert ("x-end", "yes") in [(m.key, m.value) for m in info.trailing_metadata()]

# Messages both ways at once: each is sent after the answer to the one before.
outgoing = queue.Queue()
answers = channel.stream_stream("/test.Test/Chat")(iter(outgoing.get, None), timeout=20)
for word in (b"one", b"two", b"three"):
    outgoing.put(word)
    assert next(answers) == b"<" + word + b">"
outgoing.put(None)
assert list(answers) == []


def status(method, timeout):
    try:
        channel.unary_unary(method)(b"", timeout=timeout)
    except grpc.RpcError as error:
        return error.code(), error.details()


# The server's status, a deadline, and the proxy's own status.
assert status("/test.Test/Fail", 20) == (grpc.StatusCode.FAILED_PRECONDITION, "not now")
# The proxy keeps the deadline too, and may be the first to notice.
code, details = status("/test.Test/Sleep", 0.2)
assert code == grpc.StatusCode.DEADLINE_EXCEEDED or details == "upstream request timeout", (code, details)
elsewhere = grpc.insecure_channel(sys.argv[1], options=[("grpc.default_authority", "nobody")])
try:
    elsewhere.unary_unary("/test.Test/Echo")(b"", timeout=20)
    raise AssertionError("nobody answered")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
print("done", flush=True)
