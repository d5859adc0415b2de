"""A gRPC server without generated code: messages are bytes. Reads {key, certificate} on standard input; prints its port when ready."""

import json
import sys
from concurrent import futures

import grpc


def seen(context):
    """Prints each authorization value of a call, and sends a trailer of our own."""
    values = [value for name, value in context.invocation_metadata() if name == "authorization"]
    print("authorization", "|".join(values) or "none", flush=True)
    context.set_trailing_metadata((("x-count", "3"),))


def say(request, context):
    seen(context)
    if request == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked")
    return b"said " + request


def count(request, context):
    seen(context)
    for number in range(3):
        yield b"%d" % number


def converse(requests, context):
    """Answers each message before the next one comes: nothing on the way may wait for the end."""
    seen(context)
    for request in requests:
        yield b"heard " + request


class Echo(grpc.GenericRpcHandler):
    METHODS = {
        "/echo.Echo/Say": grpc.unary_unary_rpc_method_handler(say),
        "/echo.Echo/Count": grpc.unary_stream_rpc_method_handler(count),
        "/echo.Echo/Converse": grpc.stream_stream_rpc_method_handler(converse),
    }

    def service(self, details):
        return self.METHODS.get(details.method)


def main():
    settings = json.load(sys.stdin)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), handlers=(Echo(),))
    credentials = grpc.ssl_server_credentials([(settings["key"].encode(), settings["certificate"].encode())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    print("ready", port, flush=True)
    server.wait_for_termination()


main()
