"""boto3, as an application would use it: keys of no worth, the proxy and the CA from the environment. Arguments: the endpoint, then tasks.
Prints one line of JSON a task: the status of AWS's answer, its error code as the type, and what was read as the body.

hashed      puts an object whose hash the SDK signs, and reads it back
streamed    puts an object in unsigned chunks with a checksum behind them, and reads it back
unsigned    puts an object whose body nobody signs, and reads it back
chunked     puts an object in chunks with signatures that are worth nothing, and reads it back
torn        puts an object that ends among its chunks: the status of that
spaced      puts an object under a name that must be encoded, lists and reads it
item        puts an item into the table and reads it back
identity    asks who it is
region      asks who it is in a region that it signs for, and the policy does not name
"""

import base64
import json
import sys
import zlib

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError
from botocore.parsers import ResponseParserError

DUMMY = {"aws_access_key_id": "AKIADUMMYDUMMYDUMMY", "aws_secret_access_key": "worthless", "aws_session_token": "worthless-token"}


def client(service, endpoint, region="eu-west-1", **more):
    config = Config(retries={"max_attempts": 0}, connect_timeout=60, read_timeout=60, **more)
    return boto3.client(service, endpoint_url=endpoint, region_name=region, config=config, **DUMMY)


def thing(endpoint, name, body, checksum=None, **more):
    s3 = client("s3", endpoint, **more)
    s3.put_object(Bucket="things", Key=name, Body=body, **(checksum or {}))
    return s3.get_object(Bucket="things", Key=name)["Body"].read().decode()


def hashed(endpoint):
    path = {"s3": {"addressing_style": "path", "payload_signing_enabled": True}}
    return thing(endpoint, "hashed", b"a body with a hash", request_checksum_calculation="when_required", **path)


def streamed(endpoint):
    return str(len(thing(endpoint, "streamed", b"s" * 3_000_000, s3={"addressing_style": "path"})))


def unsigned(endpoint):
    body = b"a body of its own"
    checksum = {"ChecksumCRC32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()}
    return thing(endpoint, "unsigned", body, checksum, s3={"addressing_style": "path", "payload_signing_enabled": False})


def chunked(endpoint):
    signature = b";chunk-signature=" + b"0" * 64
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(part), signature, part) for part in (b"first, ", b"second", b""))
    headers = {
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIADUMMY/20200101/us-east-2/s3/aws4_request, SignedHeaders=host, Signature=0",
        "content-encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "x-amz-decoded-content-length": "13",
    }
    requests.put(endpoint + "/things/chunked", data=body, headers=headers, timeout=60).raise_for_status()
    s3 = client("s3", endpoint, s3={"addressing_style": "path"})
    return s3.get_object(Bucket="things", Key="chunked")["Body"].read().decode()


def torn(endpoint):
    """A body that ends among its chunks."""
    headers = {"content-encoding": "aws-chunked", "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    headers["x-amz-decoded-content-length"] = "13"
    body = b"7;chunk-signature=" + b"0" * 64 + b"\r\nfirst, \r\n"
    return str(requests.put(endpoint + "/things/torn", data=iter([body]), headers=headers, timeout=60).status_code)


def spaced(endpoint):
    name = "a folder/é+(1)=~&.txt"
    body = thing(endpoint, name, b"spaced", s3={"addressing_style": "path"})
    s3 = client("s3", endpoint, s3={"addressing_style": "path"})
    listed = s3.list_objects_v2(Bucket="things", Prefix="a folder/é+", Delimiter="/")
    return body + " " + str([found["Key"] for found in listed["Contents"]] == [name])


def item(endpoint):
    table = client("dynamodb", endpoint)
    table.put_item(TableName="things", Item={"id": {"S": "one"}, "value": {"S": "of the table"}})
    return table.get_item(TableName="things", Key={"id": {"S": "one"}})["Item"]["value"]["S"]


def identity(endpoint):
    return client("sts", endpoint).get_caller_identity()["Arn"]


def region(endpoint):
    return client("sts", endpoint, region="us-east-2").get_caller_identity()["Arn"]


def main():
    endpoint = sys.argv[1]
    for task in sys.argv[2:]:
        try:
            status, code, body = 200, "", globals()[task](endpoint)
        except ClientError as error:
            status, code, body = error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"], str(error)
        except (HTTPClientError, ResponseParserError) as error:
            # A refusal of keygress is no answer of AWS: the SDK shows it as it came.
            status, code, body = 0, "", str(error)
        print(json.dumps({"status": status, "type": code, "body": body}))


main()
