"""AWS as moto plays it, over TLS, and strict: every signature is verified. Reads {key, certificate, authority, folder} on standard input;
prints a line of JSON with the keys of a user, and its port when ready. Whatever it is asked is printed as `asked METHOD PATH SHA256-HEADER`.
"""

import json
import ssl
import sys
import threading
from pathlib import Path

import boto3
import requests
from moto.core.authorization import ActionAuthenticatorMixin
from moto.server import DomainDispatcherApplication, create_backend_app
from moto.sts.exceptions import STSValidationError
from moto.sts.responses import TokenResponse
from werkzeug.serving import WSGIRequestHandler, make_server

ANYBODY = {"Effect": "Allow", "Action": "*", "Resource": "*"}
ROLE = "arn:aws:iam::123456789012:role/"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code="-", size="-"):
        print("asked", self.command, self.path, self.headers.get("x-amz-content-sha256", "-"), code, flush=True)


def take_web_tokens(only):
    """AWS takes this call without a signature, since the token proves the caller. moto wants one, and takes any token."""
    verify = ActionAuthenticatorMixin._authenticate_and_authorize_normal_action
    assume = TokenResponse.assume_role_with_web_identity

    def verify_others(self, resource="*"):
        if self._get_action() != "AssumeRoleWithWebIdentity":
            verify(self, resource)

    def assume_by_token(self):
        if self._get_param("WebIdentityToken") != only:
            raise STSValidationError("the token is not valid")
        return assume(self)

    ActionAuthenticatorMixin._authenticate_and_authorize_normal_action = verify_others
    TokenResponse.assume_role_with_web_identity = assume_by_token


def populate(endpoint, ca):
    """A user that may do everything, two roles that it may assume, a bucket, a table, a secret and a parameter."""
    options = {"endpoint_url": endpoint, "verify": ca, "region_name": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    iam = boto3.client("iam", **options)
    iam.create_user(UserName="keygress")
    iam.put_user_policy(UserName="keygress", PolicyName="all", PolicyDocument=policy(ANYBODY))
    for role in ("first", "second"):
        trusting = policy({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "*"})
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusting)
        iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=policy(ANYBODY))
    place = {"LocationConstraint": "eu-west-1"}
    boto3.client("s3", **options).create_bucket(Bucket="things", CreateBucketConfiguration=place)
    boto3.client("dynamodb", **options).create_table(
        TableName="things",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    login = json.dumps({"user": "reports", "word": "a-word-in-secrets-manager"})
    boto3.client("secretsmanager", **options).create_secret(Name="prod/login", SecretString=login)
    parameter = {"Name": "/prod/key", "Value": "a-key-in-parameter-store", "Type": "SecureString"}
    boto3.client("ssm", **options).put_parameter(**parameter)
    key = iam.create_access_key(UserName="keygress")["AccessKey"]
    return {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"], "first": ROLE + "first", "second": ROLE + "second"}


def main():
    settings = json.load(sys.stdin)
    folder = Path(settings["folder"])
    certificate, key = folder / "moto-certificate.pem", folder / "moto-key.pem"
    certificate.write_text(settings["certificate"])
    key.write_text(settings["key"])
    take_web_tokens("a.web.token")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, ssl_context=context, request_handler=Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    endpoint = f"https://localhost:{server.server_port}"
    keys = populate(endpoint, settings["authority"])
    # From here on no request passes without its signature.
    requests.post(endpoint + "/moto-api/reset-auth", data="0", verify=settings["authority"], timeout=20).raise_for_status()
    print("keys", json.dumps(keys), flush=True)
    print("ready", server.server_port, flush=True)
    serving.join()


main()
