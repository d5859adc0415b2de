"""A collector of OTLP over HTTP. Documents are read by the messages that OpenTelemetry generates from its protocol (`opentelemetry-proto-json`): what
they do not know, and what is of another type, is refused. Arguments: the statuses of the first answers, then 200. Prints `ready PORT`, and each
document as it was understood: `traces HEADERS DOCUMENT` or `logs HEADERS DOCUMENT`, both JSON.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto_json.collector.logs.v1.logs_service import ExportLogsServiceRequest
from opentelemetry.proto_json.collector.trace.v1.trace_service import ExportTraceServiceRequest

MESSAGES = {"/v1/traces": ("traces", ExportTraceServiceRequest), "/v1/logs": ("logs", ExportLogsServiceRequest)}
FIRST = [int(status) for status in sys.argv[1:]]


def lost(sent, understood, at="$"):
    """What of a document was not understood."""
    if isinstance(sent, dict):
        for key, value in sent.items():
            if isinstance(understood, dict) and key in understood:
                yield from lost(value, understood[key], f"{at}.{key}")
            elif value not in ("", 0, None, [], {}):
                yield f"{at}.{key}"
    elif isinstance(sent, list):
        if len(sent) != len(understood):
            yield at
        for number, pair in enumerate(zip(sent, understood)):
            yield from lost(*pair, f"{at}[{number}]")
    elif str(sent) != str(understood):
        yield at


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status, answer = self.take(body)
        if FIRST:
            status = FIRST.pop(0)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def take(self, body):
        name, message = MESSAGES.get(self.path, (None, None))
        if name is None or self.headers["content-type"] != "application/json":
            return 404, b"{}"
        sent = json.loads(body)
        understood = message.from_dict(sent).to_dict()
        unknown = list(lost(sent, understood))
        print("unknown" if unknown else name, json.dumps(dict(self.headers)), json.dumps(unknown or understood), flush=True)
        return (400 if unknown else 200), b"{}"

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Collector)
print("ready", server.server_port, flush=True)
server.serve_forever()
