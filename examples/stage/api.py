"""An API as others have it: one key opens it, and whoever has the key may do everything.

    api.py CERTIFICATE KEY SECRET

Prints `ready PORT`. The key comes as a bearer token or as `x-api-key`.
"""

import hmac
import http.server
import ssl
import sys

certificate, key, secret = sys.argv[1:]
with open(secret, encoding="ascii") as file:
    right = file.read()


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        given = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        knows = hmac.compare_digest(given.encode(), right.encode())
        whose = self.headers.get("x-workload")
        text = f"{self.command} {self.path} done, the key is right" if knows else "the key is wrong"
        body = (text + (f", for {whose}" if whose else "") + "\n").encode()
        self.send_response(200 if knows else 401)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("ready", server.server_port, flush=True)
server.serve_forever()
