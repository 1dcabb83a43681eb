"""Requests to AWS, read off the wire: which action of IAM's each is, where, by whom, and what it names.

Limits: the services and protocols that the orchestrator uses.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.parsers import RpcV2CBORParser

from drills.aws.faults import CREDENTIAL
from orchestration.authorization import NAMED, Request

# Where IAM's name for a service is not the one for which requests are signed.
IAM_SERVICES = {"monitoring": "cloudwatch"}
# The Smithy RPC v2 protocol, which CloudWatch's clients speak, has the action in the path.
RPC_PATH = re.compile(r"/service/\w+/operation/(\w+)")
INVOKE_PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
# Of the services whose requests say by method and path what they ask for, and name one thing there at most.
REST_PATHS = (
    ("backup", "GET", re.compile(r"/backup-vaults/([^/]+)/recovery-points/"), "ListRecoveryPointsByBackupVault"),
    ("lambda", "GET", re.compile(r"/2016-08-19/account-settings"), "GetAccountSettings"),
    ("lambda", "GET", re.compile(r"/2019-09-30/functions/([^/]+)/concurrency"), "GetFunctionConcurrency"),
    ("route53", "GET", re.compile(r"/2013-04-01/hostedzonesbyname"), "ListHostedZonesByName"),
    ("route53", "GET", re.compile(r"/2013-04-01/hostedzone/([^/]+)/rrset"), "ListResourceRecordSets"),
    ("route53", "GET", re.compile(r"/2013-04-01/healthcheck/([^/]+)"), "GetHealthCheck"),
)
DATA_API_PATHS = {
    "/BeginTransaction": "BeginTransaction",
    "/CommitTransaction": "CommitTransaction",
    "/Execute": "ExecuteStatement",
    "/RollbackTransaction": "RollbackTransaction",
}
OBJECT_ACTIONS = {"GET": "GetObject", "HEAD": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}


def read(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Request | None:
    """Returns a request that was sent; None for one that is not signed. ``headers`` are by lower-case names."""
    signed = CREDENTIAL.search(headers.get("authorization", ""))
    if signed is None:
        return None
    service = IAM_SERVICES.get(signed["service"], signed["service"])
    name, parameters = _operation(service, method, url, headers, body)
    action = f"{service}:{name}" if name else ""
    return Request(action, signed["region"], signed["key"], parameters, _carried(action, signed["key"], parameters))


def _carried(action: str, key: str, parameters: Mapping[str, Any]) -> Request | None:
    """Returns the request for another region that one carries (``PreSignedUrl``), tags aside, if it carries one."""
    url = parameters.get("PreSignedUrl")
    if not url:
        return None
    carried = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    signed = CREDENTIAL.search(f"Credential={carried['X-Amz-Credential']}")
    assert signed, url
    named = {name: value for name, value in carried.items() if not name.startswith("Tags.")}
    return Request(action, signed["region"], key, named)


def _operation(
    service: str, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> tuple[str, Mapping[str, Any]]:
    path = unquote(urlsplit(url).path)
    if invoked := INVOKE_PATH.fullmatch(path):
        return "InvokeFunction", {"FunctionName": invoked[1]}
    for of, asked, pattern, name in REST_PATHS:
        if (of, asked) == (service, method) and (found := pattern.fullmatch(path)):
            return name, {NAMED: found[1]} if found.groups() else {}
    if service == "s3":
        return _object_operation(method, url)
    if called := RPC_PATH.fullmatch(path):
        return called[1], RpcV2CBORParser().parse_data_item(io.BufferedReader(io.BytesIO(body)))
    if service == "rds-data":
        return DATA_API_PATHS.get(path, ""), json.loads(body)
    if target := headers.get("x-amz-target"):
        return target.rsplit(".", 1)[-1], json.loads(body or b"{}")
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    return form.get("Action", ""), form


def _object_operation(method: str, url: str) -> tuple[str, Mapping[str, str]]:
    """Returns a request to S3, which names its bucket in the host or the path, and then its object."""
    parts = urlsplit(url)
    bucket, subdomain, _ = (parts.hostname or "").partition(".s3.")
    path = unquote(parts.path).strip("/")
    if not subdomain:
        bucket, _, path = path.partition("/")
    if not path:
        return {"GET": "ListBucket"}.get(method, ""), {"Bucket": bucket}
    return OBJECT_ACTIONS.get(method, ""), {"Object": f"{bucket}/{path}", "Bucket": bucket}
