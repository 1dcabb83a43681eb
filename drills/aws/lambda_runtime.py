"""The Lambda service of the lab: runs each function from its built zip, in processes of its own.

What it models (Lambda developer guide, "Understanding the Lambda execution environment lifecycle", "Understanding
retry behavior in Lambda", "Working with environment variables"):

* An execution environment is a process that serves one invocation at a time. Idle ones are reused; an invocation that
  finds none starts another.
* A function gets its specified environment variables and those that Lambda sets, and nothing from this machine's
  environment.
* A function that outlives its timeout is killed with its environment. Importing the handler does not count.
* An asynchronous invocation that fails is retried twice, after one and after two minutes.
* A function that runs as often at a time as its reserved concurrency allows is throttled, however it is invoked; with 0
  it does not run at all (`stop`).
* A function outside the VPC cannot resolve names of the private zone.

Limits: memory and processor are not limited; environments never expire; what no function has reserved is unlimited; an
asynchronous event that is throttled is dropped (Lambda tries for as long as its age allows); a function URL takes any
rate of requests; the payload's size is not checked; the language is this machine's Python, not the function's runtime.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import TYPE_CHECKING, Any, Literal

from drills.aws import lambda_bootstrap
from drills.aws.clusters import security_group
from drills.aws.happenings import Happening, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from drills.aws.happenings import Observe
    from drills.world.clock import Clock
    from drills.world.reachability import Reachability
    from orchestration.specification.model import Function, Specification

# What the Python runtime of Lambda brings along (Lambda guide, "Runtime-included SDK versions").
RUNTIME_MODULES = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
# Lambda allows 10 s for starting a function. In real seconds: importing is this machine's work, at any speed.
START_LIMIT_SECONDS = 10.0
# Pauses before the second and the third attempt of an asynchronous invocation (virtual seconds).
ASYNC_RETRY_PAUSES_SECONDS = (60.0, 120.0)
# Where a package has the RDS certificate authorities; the lab's databases have an authority of their own.
AUTHORITIES = Path("handlers") / "rds-ca.pem"
SECRET_ACCESS_KEY = "not-checked-by-the-lab"  # noqa: S105 - moto checks no signature


class UnknownFunctionError(Exception):
    """There is no function of that name in that region."""


class RegionDownError(Exception):
    """The region of the function is down: nobody answers there."""


class ThrottledError(Exception):
    """The function must not run now (``TooManyRequestsException``)."""


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended.

    Attributes
    ----------
    payload
        JSON text: the handler's result, or the error with ``errorType`` and ``errorMessage``.
    failed
        Whether ``payload`` is an error (``FunctionError: Unhandled`` in Lambda's answer).
    request_id
        Lambda's name for the invocation.
    """

    payload: str
    failed: bool
    request_id: str

    @property
    def value(self) -> Any:
        """The payload as Python data."""
        return json.loads(self.payload)


@dataclass(frozen=True)
class InitDuration:
    """What importing a handler took, in ms: on the clock, and of the processor's time."""

    wall_ms: float
    processor_ms: float


class LambdaService:
    """All functions of a specification, ready to be invoked.

    Parameters
    ----------
    specification
        Whose functions to run.
    packages
        The zip of each `Function.package`.
    folder
        Where to unpack (``functions``) and to write logs (``logs/<function>.log``); all processes work inside it.
    clock
        The lab's clock: timeouts are virtual, and the functions live in its time.
    endpoint
        URL of the lab's AWS endpoint.
    register
        Called with the id of every process that is started.
    dns_servers
        Address and UDP port of the DNS server of each region.
    observe
        Told of functions that fail.
    reachability
        Knows which regions are up.
    authority
        Takes the place of the RDS certificate authorities in the packages.
    """

    def __init__(
        self,
        specification: Specification,
        packages: Mapping[str, Path],
        folder: Path,
        clock: Clock,
        *,
        endpoint: str,
        register: Callable[[int], None],
        dns_servers: Mapping[str, tuple[str, int]],
        observe: Observe,
        reachability: Reachability,
        authority: Path | None = None,
    ) -> None:
        """Unpacks the packages; processes are started by the first invocations."""
        self._specification = specification
        self._folder = folder
        self._clock = clock
        self._endpoint = endpoint
        self._register = register
        self._dns_servers = dns_servers
        self._observe = observe
        self._functions = {
            (region.name, function.name): function
            for region in specification.regions.values()
            for function in region.functions.values()
        }
        self._lock = threading.Lock()
        self._started = threading.Condition(self._lock)
        self._starting = 0
        self._idle: dict[tuple[str, str], list[_Environment]] = defaultdict(list)
        self._living: dict[_Environment, str] = {}
        self._reachability = reachability
        self._concurrency = {key: function.concurrency for key, function in self._functions.items()}
        self._running: Counter[tuple[str, str]] = Counter()
        self._closing = threading.Event()
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self._runtime = _offer_runtime(folder / "functions" / "runtime")
        self._packages = {
            name: _unpack(package, folder / "functions" / name, authority) for name, package in packages.items()
        }
        # This makes every cold start cost the same. It runs on the machine's other core, while the lab does other
        # things.
        self._compilation = subprocess.Popen(
            [sys.executable, "-m", "compileall", "-q", *map(str, self._packages.values())],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        register(self._compilation.pid)

    def function(self, region: str, name: str) -> Function:
        """Returns the function of that name or ARN in a region.

        Raises
        ------
        UnknownFunctionError
            When there is none.
        """
        try:
            return self._functions[region, name.rsplit(":", 1)[-1]]
        except KeyError:
            raise UnknownFunctionError(f"there is no function {name} in {region}") from None

    def invoke(self, region: str, name: str, event: Any) -> Outcome:
        """Runs a function and waits for its result.

        Raises
        ------
        UnknownFunctionError
            When there is no such function in the region.
        RegionDownError
            When the region is down, or goes down before the function has answered.
        ThrottledError
            When the function is stopped, or runs as often as it may.
        """
        function = self.function(region, name)
        self._refuse_when_down(region)
        with self._counted(region, function):
            return self._invoke(region, function, event)

    @contextmanager
    def _counted(self, region: str, function: Function) -> Iterator[None]:
        """Keeps to the function's reserved concurrency."""
        key = region, function.name
        with self._lock:
            limit = self._concurrency[key]
            if limit is not None and self._running[key] >= limit:
                raise ThrottledError(f"Rate Exceeded: {function.name} may run {limit} times at once")
            self._running[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[key] -= 1

    def _invoke(self, region: str, function: Function, event: Any) -> Outcome:
        request_id = str(uuid.uuid4())
        environment = None
        try:
            environment = self._take(region, function)
            outcome = environment.invoke(event, request_id)
        except _EnvironmentLostError as lost:
            self._refuse_when_down(region)
            outcome = lost.outcome(request_id)
            self._write_log(function, f"{request_id} {lost.kind}: {lost}")
            if environment:
                self._discard(environment)
        else:
            self._refuse_when_down(region)
            with self._lock:
                self._idle[region, function.name].append(environment)
        if outcome.failed:
            self._observe(
                Happening(Kind.FUNCTION_FAILED, region, function.name, {"step": function.step, **outcome.value})
            )
        else:
            answered = {"step": function.step, "result": outcome.value}
            self._observe(Happening(Kind.FUNCTION_ANSWERED, region, function.name, answered))
        return outcome

    def cold_start(self, region: str, name: str) -> InitDuration:
        """Starts one more environment of a function, ends it, and returns what its start took."""
        environment, took = self._start_anew(region, self.function(region, name))
        self._discard(environment)
        return took

    def invoke_async(self, region: str, name: str, event: Any) -> None:
        """Runs a function without waiting for it (``InvocationType: Event``), and again when it fails."""
        function = self.function(region, name)
        self._refuse_when_down(region)
        threading.Thread(target=self._retry, args=(region, function.name, event), daemon=True).start()

    def stop(self, region: str, name: str) -> None:
        """Sets a function's reserved concurrency to 0 and ends its environments: it does not run again."""
        function = self.function(region, name)
        self._concurrency[region, function.name] = 0
        for environment in self._in(region):
            if environment.function is function:
                environment.end()

    def start_again(self) -> None:
        """Gives every function that was stopped its reserved concurrency back."""
        self._concurrency.update({key: function.concurrency for key, function in self._functions.items()})

    def take_down(self, region: str, how: Literal["kill", "freeze"]) -> None:
        """Ends or freezes every environment of a region that has gone down."""
        for environment in self._in(region):
            if how == "kill":
                environment.end()
            else:
                environment.signal(SIGSTOP)

    def bring_back(self, region: str) -> None:
        """Lets the frozen environments of a region that is up again continue where they were."""
        for environment in self._in(region):
            environment.signal(SIGCONT)

    def _in(self, region: str) -> list[_Environment]:
        with self._lock:
            return [environment for environment, where in self._living.items() if where == region]

    def close(self) -> None:
        """Ends every environment; invocations under way raise `RegionDownError`."""
        self._closing.set()
        with self._lock:
            self._started.wait_for(lambda: not self._starting)
            everywhere = list(self._living)
        for environment in everywhere:
            environment.end()
        self._compilation.kill()
        self._compilation.wait()

    def _retry(self, region: str, name: str, event: Any) -> None:
        # Events that are throttled wait for hours (Lambda guide, "Error handling for asynchronous invocation"): longer
        # than a drill.
        with suppress(RegionDownError, ThrottledError):
            for pause in (*ASYNC_RETRY_PAUSES_SECONDS, None):
                if not self.invoke(region, name, event).failed or pause is None:
                    return
                if self._closing.wait(self._clock.to_real(pause)):
                    return

    def _refuse_when_down(self, region: str) -> None:
        if not self._reachability.is_up(region) or self._closing.is_set():
            raise RegionDownError(f"{region} is down")

    def _take(self, region: str, function: Function) -> _Environment:
        """Returns an idle environment of a function, or a new one."""
        with self._lock:
            idle = self._idle[region, function.name]
            while idle:
                environment = idle.pop()
                if environment.is_alive():
                    return environment
                self._living.pop(environment, None)
        return self._start_anew(region, function)[0]

    def _start_anew(self, region: str, function: Function) -> tuple[_Environment, InitDuration]:
        self._compilation.wait()
        environment = self._new(region, function)
        try:
            self._refuse_when_down(region)  # it may have gone down while the process was started
            return environment, environment.initialize(self._settings(region, function))
        except BaseException:
            self._discard(environment)
            raise

    def _new(self, region: str, function: Function) -> _Environment:
        """Starts a process; `close` waits for it, so that it ends every process that was started."""
        with self._lock:
            self._refuse_when_down(region)
            self._starting += 1
        try:
            environment = _Environment(self._start(region, function), function, self._clock)
            with self._lock:
                self._living[environment] = region
        finally:
            with self._lock:
                self._starting -= 1
                self._started.notify_all()
        return environment

    def _start(self, region: str, function: Function) -> tuple[subprocess.Popen[bytes], socket.socket]:
        here, there = socket.socketpair()
        with there, self._log(function).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-u", lambda_bootstrap.__file__, str(there.fileno())],
                cwd=self._packages[function.package],
                env=self._variables(region, function),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(there.fileno(),),
                start_new_session=True,
            )
        self._register(process.pid)
        return process, here

    def _variables(self, region: str, function: Function) -> dict[str, str]:
        """Returns the function's environment: the specified variables and Lambda's own."""
        return {
            **function.environment,
            **{variable: security_group(region, key) for variable, key in function.security_groups},
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": access_key(function),
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"[$LATEST]{uuid.uuid4().hex}",
            "LAMBDA_TASK_ROOT": str(self._packages[function.package]),
            "LAMBDA_RUNTIME_DIR": str(self._runtime),
            "_HANDLER": function.handler,
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            # The lab's own: its endpoint, and nothing from this machine's AWS configuration.
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def _settings(self, region: str, function: Function) -> dict[str, Any]:
        return {
            "package": str(self._packages[function.package]),
            "runtime": str(self._runtime),
            "handler": function.handler,
            "speed": self._clock.speed,
            "epoch": self._clock.epoch,
            "zone": self._specification.zone.name,
            "dns_server": self._dns_servers[region],
            "in_vpc": function.in_vpc,
            "function_arn": f"arn:aws:lambda:{region}:{self._specification.account}:function:{function.name}",
        }

    def _discard(self, environment: _Environment) -> None:
        environment.end()
        with self._lock:
            self._living.pop(environment, None)

    def _log(self, function: Function) -> Path:
        return self._folder / "logs" / f"{function.name}.log"

    def _write_log(self, function: Function, line: str) -> None:
        with self._log(function).open("a") as log:
            log.write(line + "\n")


class _EnvironmentLostError(Exception):
    """An environment did not start, ended by itself, or had to be killed; ``kind`` is Lambda's name for it."""

    def __init__(self, kind: str, message: str, *, started: bool = True) -> None:
        super().__init__(message)
        self.kind = kind
        self._started = started

    def outcome(self, request_id: str) -> Outcome:
        """Returns what Lambda answers; it names the request when the environment had started."""
        message = f"RequestId: {request_id} Error: {self}" if self._started else str(self)
        payload = {"errorType": self.kind, "errorMessage": message}
        return Outcome(json.dumps(payload), failed=True, request_id=request_id)


class _Environment:
    """One process that serves one invocation at a time."""

    def __init__(
        self, started: tuple[subprocess.Popen[bytes], socket.socket], function: Function, clock: Clock
    ) -> None:
        self._process, self._channel = started
        self.function = function
        self._clock = clock
        self._function_arn = ""

    def initialize(self, settings: dict[str, Any]) -> InitDuration:
        """Imports the handler."""
        self._function_arn = settings["function_arn"]
        answer = self._exchange(settings, START_LIMIT_SECONDS)
        if answer["error"]:
            error = answer["error"]
            raise _EnvironmentLostError(error["errorType"], error["errorMessage"], started=False)
        return InitDuration(**answer["took"])

    def invoke(self, event: Any, request_id: str) -> Outcome:
        """Runs the handler."""
        limit = self.function.timeout_seconds
        request = {
            "request_id": request_id,
            "function_arn": self._function_arn,
            "timeout_seconds": limit,
            "event": event,
        }
        answer = self._exchange(request, self._clock.to_real(limit))
        if answer["error"]:
            return Outcome(json.dumps(answer["error"]), failed=True, request_id=request_id)
        return Outcome(answer["result"], failed=False, request_id=request_id)

    def is_alive(self) -> bool:
        """Returns whether the process is still running."""
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Sends a signal to the process."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def end(self) -> None:
        """Kills the process, frozen or not."""
        self.signal(SIGKILL)
        self._process.wait()
        with suppress(OSError):
            # Wakes a thread that waits for an answer; closing alone would not.
            self._channel.shutdown(socket.SHUT_RDWR)

    def _exchange(self, message: dict[str, Any], limit_seconds: float) -> dict[str, Any]:
        """Sends a message and returns the answer; ``limit_seconds`` is real time."""
        try:
            deadline = time.monotonic() + limit_seconds
            self._channel.settimeout(limit_seconds)
            lambda_bootstrap.send(self._channel, message)
            self._channel.settimeout(max(deadline - time.monotonic(), 0.001))
            answer = lambda_bootstrap.receive(self._channel)
        except TimeoutError:
            seconds = self.function.timeout_seconds
            raise _EnvironmentLostError("Sandbox.Timedout", f"Task timed out after {seconds:.2f} seconds") from None
        except OSError:
            answer = None
        if answer is None:
            self._process.wait()
            code = self._process.returncode
            how = f"exit status {code}" if code >= 0 else f"signal: {-code}"
            raise _EnvironmentLostError("Runtime.ExitError", f"Runtime exited with error: {how}")
        return answer


def access_key(function: Function) -> str:
    """Returns the access key id of a function, by which the lab's endpoint knows who asks."""
    return f"LAB-{function.name}"


def _offer_runtime(folder: Path) -> Path:
    """Creates a folder that holds what Lambda's runtime offers, as links to this environment's packages."""
    folder.mkdir(parents=True)
    for name in RUNTIME_MODULES:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            raise RuntimeError(f"{name} is not installed, but Lambda's runtime has it: install drills/requirements.txt")
        source = Path(found.origin)
        source = source.parent if source.name == "__init__.py" else source
        (folder / source.name).symlink_to(source)
    return folder


def _unpack(package: Path, folder: Path, authority: Path | None) -> Path:
    """Unpacks a zip."""
    with zipfile.ZipFile(package) as opened:
        opened.extractall(folder)
    if authority is not None and (folder / AUTHORITIES).exists():
        shutil.copyfile(authority, folder / AUTHORITIES)
    return folder
