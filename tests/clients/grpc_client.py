"""gRPC on the C core, through https_proxy. Argument: host:port. Prints one line of JSON for each call."""

import json
import queue
import sys

import grpc

OWN = (("authorization", "Bearer own-key-of-the-application"),)


def show(name, **what):
    print(json.dumps({"call": name, **what}), flush=True)


def say(channel, text):
    call = channel.unary_unary("/echo.Echo/Say")
    try:
        reply, done = call.with_call(text, metadata=OWN, timeout=60)
        show("say", code=done.code().name, reply=reply.decode(), trailers=dict(done.trailing_metadata()))
    except grpc.RpcError as error:
        show("say", code=error.code().name, details=error.details())


def count(channel):
    call = channel.unary_stream("/echo.Echo/Count")(b"", metadata=OWN, timeout=60)
    replies = [reply.decode() for reply in call]
    show("count", code=call.code().name, replies=replies)


def converse(channel):
    """Sends the second message only when the answer to the first is here."""
    messages = queue.SimpleQueue()
    call = channel.stream_stream("/echo.Echo/Converse")(iter(messages.get, None), metadata=OWN, timeout=60)
    replies = []
    for text in (b"one", b"two"):
        messages.put(text)
        replies.append(next(call).decode())
    messages.put(None)
    show("converse", replies=replies, rest=[reply.decode() for reply in call], code=call.code().name)


def denied(channel):
    call = channel.unary_unary("/echo.Echo/Forbidden")
    try:
        call(b"", metadata=OWN, timeout=60)
        show("denied", code="OK")
    except grpc.RpcError as error:
        show("denied", code=error.code().name, details=error.details())


def main():
    with grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials()) as channel:
        say(channel, b"hello")
        say(channel, b"fail")
        count(channel)
        converse(channel)
        denied(channel)


main()
