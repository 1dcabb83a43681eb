"""A Lambda package for the tests of the lab: every function of the specification does what its event says."""

from __future__ import annotations

import zipfile
from pathlib import Path

from orchestration.specification import Specification

HANDLER = '''
import datetime, importlib, os, pathlib, socket, sys, time

def handler(event, context):
    return globals()[event.get("do", "unasked")](event, context)

def unasked(event, context):
    """A schedule or a health check."""
    print("unasked", event.get("detail-type") or event["rawPath"], flush=True)
    return {"statusCode": 404}

def echo(event, context):
    return event

def describe(event, context):
    return {
        "context": {name: getattr(context, name) for name in (
            "function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "aws_request_id")},
        "remaining_ms": context.get_remaining_time_in_millis(),
        "environment": dict(os.environ), "path": sys.path, "pid": os.getpid(), "folder": os.getcwd(),
    }

def importable(event, context):
    found = []
    for name in event["modules"]:
        try:
            found.append(importlib.import_module(name).__name__)
        except ImportError:
            pass
    return found

def meet(event, context):
    """Wait until as many invocations are here as the event says."""
    here = pathlib.Path(event["folder"]) / context.aws_request_id
    here.touch()
    while len(list(here.parent.iterdir())) < event["count"]:
        time.sleep(0.01)
    return os.getpid()

def sleep(event, context):
    print("sleeping", os.getpid(), flush=True)
    time.sleep(event["seconds"])
    return os.getpid()

def times(event, context):
    before = time.time(), time.monotonic()
    time.sleep(10)
    after = time.time(), time.monotonic()
    with socket.socket() as plain:
        plain.settimeout(7.0)
        timeout = plain.gettimeout()
    moment = datetime.datetime.now(datetime.timezone.utc)
    return {"before": before, "after": after, "datetime": moment.timestamp(), "timeout": timeout,
            "is_datetime": isinstance(datetime.datetime(2026, 1, 1), datetime.datetime)}

def accept_timeout(event, context):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20.0)
        started = time.monotonic()
        try:
            listener.accept()
        except TimeoutError:
            return time.monotonic() - started

def resolve(event, context):
    try:
        found = socket.getaddrinfo(event["name"], 5432, type=socket.SOCK_STREAM)
        last, chain, _ = socket.gethostbyname_ex(event["name"])
    except socket.gaierror as error:
        return {"error": error.errno}
    return {"address": found[0][4][0], "chain": [*chain, last], "port": found[0][4][1]}

class NoSuchAccount(Exception):
    pass

def fail(event, context):
    raise NoSuchAccount("account 7")

def leave(event, context):
    os._exit(3)

def unserializable(event, context):
    return object()

def call(event, context):
    """Call AWS as a handler does; return what came of it."""
    import boto3
    from botocore.exceptions import ClientError
    client = boto3.client(event["service"], **event.get("where", {}))
    if role := event.get("role"):
        sts = boto3.client("sts", region_name=os.environ["AWS_REGION"])
        try:
            keys = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        except ClientError as error:
            return error.response["Error"]["Code"]
        client = boto3.client(event["service"], **event.get("where", {}), aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])
    try:
        getattr(client, event["operation"])(**event["parameters"])
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "done"
'''


def write_package(path: Path, specification: Specification) -> Path:
    """Write a zip whose functions all run `HANDLER`, except ``claim``, which cannot be imported."""
    modules = {found.module for region in specification.regions.values() for found in region.functions.values()}
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("handlers/__init__.py", "")
        package.writestr("handlers/rds-ca.pem", "the authorities of RDS")
        for module in modules:
            broken = module.endswith(".claim")
            package.writestr(f"{module.replace('.', '/')}.py", "import no_such_module" if broken else HANDLER)
    return path
