"""requests, as an application would use it: no key of any worth, the proxy and the CA from the environment. Arguments: URLs."""

import json
import sys

import requests

for url in sys.argv[1:]:
    reply = requests.get(url, headers={"Authorization": "Bearer own-key-of-the-application"}, timeout=60)
    print(json.dumps({"status": reply.status_code, "type": reply.headers.get("content-type", ""), "body": reply.text}))
