"""The gate that every request to AWS passes, and the troubles that it may meet there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from unittest import mock

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse

from orchestration.specification.model import Permission
from tests.deployment.clock import CLOCK
from tests.deployment.databases import Databases
from tests.deployment.functions import Killed, Lambdas
from tests.deployment.regions import STANDBY, WRITER
from tests.deployment.rights import Rights
from tests.deployment.surroundings import Surroundings


@dataclass
class Trouble:
    """What goes wrong with the next ``times`` requests to AWS that fit: an answer, a lost connection, or a death.

    ``kind`` is an error code (answered with ``status``), ``refused`` (no connection), ``unanswered`` (the client has
    waited in vain) or ``killed`` (the function dies). With ``after`` the request first has its effect. ``skip`` such
    requests are left alone before.
    """

    operation: str  # such as dynamodb.UpdateItem, or * for all
    kind: str
    status: int = 400
    times: int = 1
    region: str = ""
    step: str = ""
    after: bool = False
    skip: int = 0


DENIED = Trouble("*", "AccessDenied", status=403)


class Gate:
    """Every request that boto3 sends passes here on its way to moto; a function's needs a permission.

    So does a person's, where a test says what the person is granted.
    """

    def __init__(self, lambdas: Lambdas, databases: Databases, rights: Rights) -> None:
        self._lambdas = lambdas
        self._databases = databases
        self._rights = rights
        self._lock = threading.Lock()
        self.surroundings = Surroundings()
        self.troubles: list[Trouble] = []
        self.before: Callable[[str], None] = lambda operation: None  # called before every request
        self.seen: list[tuple[str, str, str]] = []  # step, region, operation
        self.person: tuple[Permission, ...] | None = None  # what whoever is no function is granted; everything, if None
        self.clock_ahead_s = 0.0  # of AWS's clocks, before those of the functions
        self._open = threading.local()

    def install(self, stack: ExitStack) -> None:
        """Stand between boto3 and moto until ``stack`` is closed."""
        gate, answer = self, BotocoreStubber.__call__
        lambdas, databases, rights = self._lambdas, self._databases, self._rights

        def pass_through(stubber: BotocoreStubber, event_name: str, request: Any, **named: Any) -> Any:
            if getattr(gate._open, "wide", False):
                return answer(stubber, event_name, request, **named)
            operation = event_name.removeprefix("before-send.")
            region = _region_of(request.url)
            gate.before(operation)
            trouble = gate._take(operation, region)
            step, its_region = lambdas.doer(), lambdas.doers_region()
            if step and not rights.ask(step, its_region, request):
                return gate._cause(DENIED, request)
            if not step and gate.person is not None and not rights.lets(gate.person, request):
                return gate._cause(DENIED, request)
            if trouble and not trouble.after:
                return gate._cause(trouble, request)
            result: AWSResponse | None
            if (made_up := gate.surroundings.answer(region, operation, request.url)) is not None:
                result = _json_answer(request, made_up)
            elif operation == "lambda.Invoke":
                result = gate._invoke(region, request)
            elif operation.startswith("rds-data."):
                result = _json_answer(request, databases.data_api(region, operation, json.loads(request.body)))
            else:
                result = answer(stubber, event_name, request, **named)
            if step:
                rights.answered(step, its_region, request, result)
            return gate._cause(trouble, request) if trouble else gate._dated(result)

        stack.enter_context(mock.patch.object(BotocoreStubber, "__call__", pass_through))

    def _dated(self, answer: Any) -> Any:
        """The answer with the time of everything here; moto has dated it by the machine's."""
        headers = getattr(answer, "headers", {})
        if "date" in headers:
            del headers["date"]
            headers["date"] = formatdate(CLOCK.now() + self.clock_ahead_s, usegmt=True)
        return answer

    @contextmanager
    def wide_open(self) -> Iterator[None]:
        """Requests of this thread meet no trouble and are not noted."""
        before, self._open.wide = getattr(self._open, "wide", False), True
        try:
            yield
        finally:
            self._open.wide = before

    def _take(self, operation: str, region: str) -> Trouble | None:
        step = self._lambdas.doer()
        with self._lock:
            self.seen.append((step, region, operation))
            for trouble in self.troubles:
                if (
                    trouble.times > 0
                    and trouble.operation in (operation, "*")
                    and trouble.region in (region, "")
                    and trouble.step in (step, "")
                ):
                    trouble.skip -= 1
                    if trouble.skip < 0:
                        trouble.times -= 1
                        return trouble
        return None

    @staticmethod
    def _cause(trouble: Trouble, request: Any) -> AWSResponse:
        if trouble.kind == "killed":
            raise Killed
        if trouble.kind == "refused":
            raise EndpointConnectionError(endpoint_url=request.url)
        if trouble.kind == "unanswered":
            raise ReadTimeoutError(endpoint_url=request.url)
        asked = request.headers.get("Content-Type", b"")
        if b"form-urlencoded" in (asked if isinstance(asked, bytes) else asked.encode()):
            body = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{trouble.kind}</Code>"
                "<Message>made by the test</Message></Error><RequestId>0</RequestId></ErrorResponse>"
            )
        else:
            body = json.dumps({"__type": trouble.kind, "message": "made by the test"})
        headers = HTTPHeaders()
        headers["x-amzn-ErrorType"] = trouble.kind
        return AWSResponse(request.url, trouble.status, headers, MockRawResponse(body))

    def _invoke(self, region: str, request: Any) -> AWSResponse:
        name = request.url.split("/functions/")[1].split("/")[0]
        outcome = self._lambdas.invoke(region, name, json.loads(request.body))
        headers = HTTPHeaders()
        if outcome.failed:
            headers["x-amz-function-error"] = "Unhandled"
        return AWSResponse(request.url, 200, headers, MockRawResponse(outcome.payload))


def _json_answer(request: Any, answer: dict[str, Any]) -> AWSResponse:
    return AWSResponse(request.url, 200, HTTPHeaders(), MockRawResponse(json.dumps(answer)))


def _region_of(url: str) -> str:
    return next((region for region in (WRITER, STANDBY) if f".{region}." in url), "")
