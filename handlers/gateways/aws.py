"""AWS clients with time limits that fit a failover, and one translation of their errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, get_args

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader
from botocore.session import Session, get_session

from handlers.core.errors import Misconfigured, TransientFailure

if TYPE_CHECKING:
    from types_boto3_sts.type_defs import CredentialsTypeDef

# An answer from a healthy regional endpoint takes well under a second; a hanging one must not eat the run's time
# budget. Two attempts inside the SDK, then the workflow's own retry, which the console shows.
CONNECT_TIMEOUT_S = 1
READ_TIMEOUT_S = 3
ATTEMPTS = 2

# Botocore's data as `orchestration.service_models` puts them into the package; absent elsewhere.
MODELS = Path(__file__).resolve().parent.parent / "models"

# What is called here, by botocore's names.
Service = Literal[
    "backup",
    "cloudwatch",
    "dynamodb",
    "events",
    "lambda",
    "rds",
    "rds-data",
    "route53",
    "s3",
    "secretsmanager",
    "sns",
    "ssm",
    "stepfunctions",
    "sts",
]
SERVICES: tuple[str, ...] = get_args(Service)

# Error codes of requests that may succeed when sent again (Smithy retry specification, "transient and throttling
# errors"), and the conflict of two regions that wrote one item of a strongly consistent table at the same moment.
RETRYABLE_CODES = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
_MAKING = Lock()  # a session is not made for threads (boto3 guide, "Session", "Multithreading"); its clients are
FIRST_SERVER_ERROR = 500  # HTTP status
LONGEST_REPORT = 500  # characters of a crash's report that are worth passing on


class _Models(Loader):
    """Botocore's descriptions of the services, first those that the package carries.

    Botocore's own loader looks into the folders of all 400 services before it reads one, to be able to say that there
    is none of that name: a third of what a first client costs.
    """

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - as in `Loader`
        """Returns the services that are called here."""
        return list(SERVICES)

    def is_builtin_path(self, path: str) -> bool:
        """Returns whether the data are botocore's own, which the package's are."""
        return path.startswith(str(MODELS)) or super().is_builtin_path(path)


@cache
def _session() -> Session:
    """Returns the session of all clients.

    Botocore's own and not boto3's, which loads resources and transfer managers that nothing here uses: a sixth of
    boto3's import.
    """
    session = get_session()
    session.register_component("data_loader", _Models([str(MODELS)]))
    return session


def client(
    service: Service,
    region: str,
    *,
    read_timeout_s: float = READ_TIMEOUT_S,
    attempts: int = ATTEMPTS,
    credentials: CredentialsTypeDef | None = None,
) -> Any:
    """Returns a client of ``service`` in ``region`` with short time limits (seconds); ``attempts`` counts the first.

    ``credentials``: those of another role, as STS gives them.
    """
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        s3={"us_east_1_regional_endpoint": "regional"},  # else a client there asks the global endpoint
        proxies={},  # there are none; botocore would look for them in the environment, for every client anew
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    with _MAKING:
        return _session().create_client(
            service,
            region_name=region,
            aws_access_key_id=credentials["AccessKeyId"] if credentials else None,
            aws_secret_access_key=credentials["SecretAccessKey"] if credentials else None,
            aws_session_token=credentials["SessionToken"] if credentials else None,
            config=config,
        )


def invoke(lambda_client: Any, function: str, event: object) -> object:
    """Runs a function and returns its result.

    Raises
    ------
    TransientFailure
        Lambda did not answer, or not with JSON, or the function crashed or ran out of time.
    """
    with named_errors(f"invoking {function}"):
        answer = lambda_client.invoke(FunctionName=function, Payload=json.dumps(event).encode())
        payload = answer["Payload"].read().decode()
    if answer.get("FunctionError"):
        raise TransientFailure(f"{function} failed: {payload[:LONGEST_REPORT]}")
    try:
        return json.loads(payload)
    except ValueError as error:
        raise TransientFailure(f"{function} gave an answer that is not JSON: {payload[:LONGEST_REPORT]}") from error


def code_of(error: ClientError) -> str:
    """Returns the error code that AWS gave, or an empty text."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_definite(error: ClientError) -> bool:
    """Returns whether AWS refused the request, did nothing, and would give the same answer again."""
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return code_of(error) not in RETRYABLE_CODES and status < FIRST_SERVER_ERROR


@contextmanager
def named_errors(doing: str) -> Iterator[None]:
    """Turns AWS errors into the workflow's: `TransientFailure` when a retry may help, else `Misconfigured`.

    ``doing`` says what was tried, for the message. Errors with a meaning of their own are caught inside the block.
    """
    try:
        yield
    except ClientError as error:
        if not is_definite(error):
            raise TransientFailure(f"{doing}: {error}") from error
        raise Misconfigured(
            f"{doing}: {error}; AWS will give the same answer again: check the function's permissions and that the "
            "resource it names is deployed"
        ) from error
    except BotoCoreError as error:  # no connection, timeout, unreadable answer
        raise TransientFailure(f"{doing}: {type(error).__name__}: {error}") from error
