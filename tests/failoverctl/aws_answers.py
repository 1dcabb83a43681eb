"""AWS as one test says that it answers: requests and answers are held to the shapes of AWS's own models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError
from botocore.session import get_session
from botocore.validate import validate_parameters

from failoverctl.account import Account
from failoverctl.deployment import Deployment, Identity, Reading
from handlers.core.control import ControlRecord
from orchestration.settings import Settings, load

NOW = 1_800_000_000.0
SETTINGS = load(environment_suffix="test")
WRITER, STANDBY = SETTINGS.regions
ACCOUNT = "123456789012"
RECORD = ControlRecord(WRITER, 1, automatic_failover=True, lease_expires_at=NOW + 8)

Answer = dict[str, Any] | Exception | Callable[..., dict[str, Any]]
# IAM's name of a service, where it is not botocore's.
IAM = {"stepfunctions": "states", "service-quotas": "servicequotas"}
# IAM's action where it is not the operation (service authorization reference of S3).
ACTIONS = {"s3:HeadBucket": "s3:ListBucket"}
_SESSION = get_session()


def refused(code: str, status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Operation")


def fits(data: dict[str, Any], shape: Any) -> None:
    """Fails where AWS's model has no such data."""
    try:
        validate_parameters(data, shape)
    except ParamValidationError as error:
        raise AssertionError(str(error)) from error


class Client:
    """One service in one region; ``answers`` by ``service.Operation``, the same in every region."""

    def __init__(self, service: str, region: str, aws: Aws) -> None:
        self._model = _SESSION.get_service_model(service)
        self._service, self._region, self._aws = service, region, aws

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = next(each for each in self._model.operation_names if xform_name(each) == name)
        model = self._model.operation_model(operation)

        def call(**asked: Any) -> Any:
            fits(asked, model.input_shape)
            action = f"{IAM.get(self._service, self._service)}:{operation}"
            self._aws.seen.add(ACTIONS.get(action, action))
            answer = self._aws.answers[f"{self._service}.{operation}"]
            if isinstance(answer, Exception):
                raise answer
            given = answer(region=self._region, **asked) if callable(answer) else answer
            fits(given, model.output_shape)
            return given

        return call

    def get_paginator(self, name: str) -> Any:
        call, operation = getattr(self, name), "".join(word.title() for word in name.split("_"))
        pages = _SESSION.get_component("data_loader").load_service_model(self._service, "paginators-1")["pagination"]
        assert operation.lower() in {each.lower() for each in pages}, f"{name} has no pages"

        def paginate(**asked: Any) -> Iterator[Any]:
            yield call(**asked)

        return SimpleNamespace(paginate=paginate)


class Aws:
    """All services of one account."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.seen: set[str] = set()

    def account(self, settings: Settings = SETTINGS, who: str = f"arn:aws:iam::{ACCOUNT}:user/ada") -> Account:
        """The account as `failoverctl.asks` has it."""
        deployment = Deployment(settings)
        deployment._identity = Identity(ACCOUNT, who)
        account = Account(deployment)
        account.__dict__["_reading"] = Reading(RECORD, WRITER, NOW)
        account.client = lambda service, region: Client(service, region, self)  # type: ignore[method-assign]
        return account
