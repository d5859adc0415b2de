"""A WebSocket client; proxy and CA from the environment. Arguments: the URL of an echo, the URL of one that is refused."""

import json
import os
import ssl
import sys

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

OWN = {"Authorization": "Bearer own-key-of-the-application"}


def main():
    trust = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    with connect(sys.argv[1], ssl=trust, additional_headers=OWN, open_timeout=60) as socket:
        heard = []
        for message in ("hello", "x" * 70000, b"\x00\x01"):
            socket.send(message)
            heard.append(socket.recv(timeout=60) == message)
        print(json.dumps({"status": 101, "type": "", "body": str(heard)}))
    try:
        connect(sys.argv[2], ssl=trust, additional_headers=OWN, open_timeout=60)
        print(json.dumps({"status": 101, "type": "", "body": "not refused"}))
    except InvalidStatus as refused:
        reply = refused.response
        print(json.dumps({"status": reply.status_code, "type": reply.headers.get("content-type", ""), "body": reply.body.decode()}))


main()
