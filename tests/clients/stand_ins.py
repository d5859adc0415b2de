"""SDKs that find their own credentials, as they do on the machines of their clouds. Prints one line of JSON a task, as boto3_client.py does.

aws     ENDPOINT   boto3 asks for container credentials, and AWS who it is: the access key id that it got, and who it is
google  URL        google-auth asks the metadata server, and sends what it got: the token that it got, and the answer
"""

import json
import sys

import boto3
import google.auth
from botocore.config import Config
from google.auth.transport.requests import AuthorizedSession


def aws(endpoint):
    session = boto3.session.Session()
    config = Config(retries={"max_attempts": 0}, connect_timeout=60, read_timeout=60)
    sts = session.client("sts", endpoint_url=endpoint, region_name="eu-west-1", config=config)
    identity = sts.get_caller_identity()
    held = session.get_credentials()
    return held.method, held.access_key + " " + identity["Arn"]


def of_google(url):
    credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    answer = AuthorizedSession(credentials).get(url, timeout=60)
    return project, f"{credentials.token} {answer.status_code} {answer.text}"


kind, body = {"aws": aws, "google": of_google}[sys.argv[1]](sys.argv[2])
print(json.dumps({"status": 200, "type": kind, "body": body}))
