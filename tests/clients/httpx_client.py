"""httpx over HTTP/2, proxy and CA from the environment. Arguments: a task, then what it needs.

get URL…        one request each
events BASE     reads a stream of events; the second one comes only after a request that is made on sight of the first
upload BASE     sends a body in two pieces; the second only after the upstream has the first
"""

import json
import sys

import httpx

OWN = {"Authorization": "Bearer own-key-of-the-application"}


def show(reply, body):
    assert reply.http_version == "HTTP/2", reply.http_version
    print(json.dumps({"status": reply.status_code, "type": reply.headers.get("content-type", ""), "body": body}), flush=True)


def get(client, urls):
    for url in urls:
        reply = client.get(url, headers=OWN)
        show(reply, reply.text)


def events(client, base):
    with client.stream("GET", base + "/events", headers=OWN) as reply:
        seen = []
        for line in reply.iter_lines():
            if line.startswith("data: "):
                seen.append(line.removeprefix("data: "))
            if line == "data: first":
                with httpx.Client(http2=True, timeout=60) as other:
                    other.post(base + "/next").raise_for_status()
        show(reply, " ".join(seen))


def upload(client, base):
    def pieces():
        yield b"a" * 1000
        with httpx.Client(http2=True, timeout=60) as other:
            other.get(base + "/progress/1000").raise_for_status()
        yield b"b" * 500

    reply = client.post(base + "/upload", headers=OWN, content=pieces())
    show(reply, reply.text)


def main():
    task, arguments = sys.argv[1], sys.argv[2:]
    with httpx.Client(http2=True, timeout=60) as client:
        if task == "get":
            get(client, arguments)
        elif task == "events":
            events(client, arguments[0])
        elif task == "upload":
            upload(client, arguments[0])
        else:
            sys.exit(f"no such task: {task}")


main()
