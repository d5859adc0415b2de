"""Validates Kubernetes objects, strictly, against the schemas of one version: manifests.py VERSION < MANIFESTS

Prints `KIND NAME` for each object, and fails with what is wrong. What the schemas do not know fails too, but for the one kind below.
"""

import sys

import jsonschema
import kubernetes_validate
import yaml

# Of the Prometheus operator: as much of it as the chart uses.
TEXT = {"type": "string"}
LABELS = {"type": "object", "additionalProperties": TEXT}
SERVICE_MONITOR = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["endpoints", "selector"],
            "additionalProperties": False,
            "properties": {
                "selector": {"type": "object", "additionalProperties": False, "properties": {"matchLabels": LABELS}},
                "endpoints": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"type": "object", "additionalProperties": False, "required": ["port"], "properties": {"port": TEXT, "path": TEXT, "interval": TEXT}},
                },
            },
        }
    },
}

version = sys.argv[1]
for document in yaml.safe_load_all(sys.stdin):
    if document is None:
        continue
    kind, name = document["kind"], document["metadata"]["name"]
    if document["apiVersion"] == "monitoring.coreos.com/v1" and kind == "ServiceMonitor":
        jsonschema.validate(document, SERVICE_MONITOR)
    else:
        kubernetes_validate.validate(document, version, strict=True)
    print(kind, name)
