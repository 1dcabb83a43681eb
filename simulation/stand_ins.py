"""What stands in for the libraries through which the product's code reaches the world.

botocore: a client is a service's name, a region and its time limits; every call goes to `Wires`. Powertools:
nothing is logged, and the timing that a step adds to its result is kept. Idempotency: tokens in a table of the world.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from functools import wraps
from types import ModuleType, SimpleNamespace
from typing import Any

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


class BotoCoreError(Exception):
    """As botocore's: there was no answer."""


class ConnectTimeoutError(BotoCoreError):
    """As botocore's: no connection in time, so that nothing was sent."""


class EndpointConnectionError(BotoCoreError):
    """As botocore's: no connection, so that nothing was sent."""


class ReadTimeoutError(BotoCoreError):
    """As botocore's: no answer in time; what was asked for may be done."""


class NoCredentialsError(BotoCoreError):
    """As botocore's: nobody has logged in, which does not happen here."""


class PartialCredentialsError(NoCredentialsError):
    """As botocore's, and as rare."""


class ClientError(Exception):
    """As botocore's: AWS answered with an error."""

    def __init__(self, error_response: dict[str, Any], operation_name: str) -> None:
        error = error_response.get("Error", {})
        super().__init__(
            f"An error occurred ({error.get('Code')}) when calling the {operation_name} operation: "
            f"{error.get('Message')}"
        )
        self.response = error_response
        self.operation_name = operation_name


class ExecutionAlreadyExists(ClientError):
    """As a client of Step Functions has it."""


def refusal(code: str, operation: str, message: str = "refused by the simulator", status: int = 400) -> ClientError:
    """Returns AWS's error of that code."""
    kind = ExecutionAlreadyExists if code == ExecutionAlreadyExists.__name__ else ClientError
    return kind(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation
    )


class Wires:
    """Where the calls of the product's code go: to the world of the present history."""

    def __init__(self) -> None:
        self.world: Any = None


class Client:
    """A client of ``service`` in ``region``; ``attempts`` counts the first, limits are in seconds.

    ``role``: in which it acts, where that was taken on; empty for whoever makes the call.
    """

    def __init__(self, wires: Wires, service: str, region: str, role: str, config: Any) -> None:
        self._wires = wires
        self.service = service
        self.region = region
        self.role = role
        self.connect_s = float(config.connect_timeout)
        self.read_s = float(config.read_timeout)
        self.attempts = int(config.retries["total_max_attempts"])
        self.exceptions = SimpleNamespace(ExecutionAlreadyExists=ExecutionAlreadyExists)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        """Returns the operation of that name."""

        def call(**request: Any) -> Any:
            return self._wires.world.network.call(self, operation, request)

        self.__dict__[operation] = call
        return call


class Carried:
    """A value in the place of its JSON, which costs a tenth of a history: what is carried is plain already."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def encode(self) -> Carried:
        """Returns itself, as do `read` and `decode`."""
        return self

    read = decode = encode


def carried(loads: Callable[[Any], Any]) -> SimpleNamespace:
    """Returns what stands in for the module `json` where functions are invoked; ``loads`` reads what was written."""
    return SimpleNamespace(
        dumps=Carried, loads=lambda found: found.value if isinstance(found, Carried) else loads(found)
    )


class _Session:
    """As botocore's session: makes clients."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires

    def get_credentials(self) -> object:
        """Returns some."""
        return self

    def register_component(self, name: str, component: object) -> None:
        """Needs none."""

    def create_client(
        self, service: str, *, region_name: str, config: Any, aws_access_key_id: str | None = None, **_keys: str | None
    ) -> Client:
        """Returns a client of the present history's world; a role's access key is its name."""
        return Client(self._wires, service, region_name, aws_access_key_id or "", config)


class Thread:
    """As `threading.Thread`, in virtual time."""

    def __init__(self, wires: Wires, *, target: Callable[..., None], args: tuple[Any, ...], **_how: Any) -> None:
        self._wires, self._work = wires, lambda: target(*args)

    def start(self) -> None:
        """Starts it."""
        self._wires.world.time.background(self._work)


class Queue:
    """As `queue.SimpleQueue`, in virtual time."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires
        self._items: list[Any] = []
        self._waiting: dict[Any, None] = {}

    def put(self, item: Any) -> None:
        """Adds an item."""
        self._items.append(item)
        self._wires.world.time.wake(self._waiting)

    def get(self, timeout: float) -> Any:
        """Returns the first; raises `queue.Empty` when none has come in time."""
        time = self._wires.world.time
        ends = time.now + timeout
        while not self._items:
            if time.now >= ends:
                raise queue.Empty
            time.wait(self._waiting, ends - time.now)
        return self._items.pop(0)


class _Loader:
    """As botocore's, of which nothing is loaded."""

    def __init__(self, _paths: list[str]) -> None: ...


class _Quiet:
    """As Powertools' logger, and says nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _nothing

    @staticmethod
    def inject_lambda_context(handler: Handler) -> Handler:
        return handler


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _instrumented(wires: Wires) -> Callable[[Handler], Handler]:
    from handlers.core.commands import WARM_UP

    def instrumented(handler: Handler) -> Handler:
        @wraps(handler)
        def entry(event: dict[str, Any], context: Any) -> dict[str, Any]:
            if event == WARM_UP:
                return {}
            began = wires.world.time.time()
            return handler(event, context) | {"timing": {"began": began, "ended": wires.world.time.time()}}

        return entry

    return instrumented


def _acts_once_by(wires: Wires) -> Callable[..., Callable[[Handler], Handler]]:
    def acts_once_by(environment: Any, *fields: str) -> Callable[[Handler], Handler]:
        def decorate(handler: Handler) -> Handler:
            @wraps(handler)
            def act(event: dict[str, Any], context: Any) -> dict[str, Any]:
                key = (environment.idempotency_table, handler.__module__, *(str(event.get(name)) for name in fields))
                return wires.world.tokens.once(key, lambda: handler(event, context))  # type: ignore[no-any-return]

            return act

        return decorate

    return acts_once_by


def modules(wires: Wires) -> dict[str, ModuleType]:
    """Returns the modules that stand in, by the names under which the product imports them."""

    def module(name: str, **contents: Any) -> ModuleType:
        made = ModuleType(name)
        made.__dict__.update(contents)
        made.__path__ = []
        return made

    def config(**limits: Any) -> Any:
        return SimpleNamespace(**limits)

    exceptions = module(
        "botocore.exceptions",
        **{
            kind.__name__: kind
            for kind in (
                *(BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError),
                *(NoCredentialsError, PartialCredentialsError),
            )
        },
    )
    return {
        "botocore": module("botocore"),
        "botocore.config": module("botocore.config", Config=config),
        "botocore.exceptions": exceptions,
        "botocore.loaders": module("botocore.loaders", Loader=_Loader),
        "botocore.session": module("botocore.session", Session=_Session, get_session=lambda: _Session(wires)),
        "aws_lambda_powertools": module("aws_lambda_powertools"),
        "aws_lambda_powertools.utilities": module("aws_lambda_powertools.utilities"),
        "aws_lambda_powertools.utilities.typing": module("typing", LambdaContext=object),
        "handlers.telemetry": module("handlers.telemetry", logger=_Quiet(), instrumented=_instrumented(wires)),
        "handlers.idempotency": module(
            "handlers.idempotency", acts_once_by=_acts_once_by(wires), TokenVariables=_token_variables()
        ),
    }


def _token_variables() -> type:
    from handlers.core.environment import Variables

    class TokenVariables(Variables):
        """As the product's."""

        idempotency_table: str

    return TokenVariables
