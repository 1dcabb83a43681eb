"""What runs inside one execution environment of the lab's Lambda service, started by `drills.aws.lambda_runtime`.

It plays the role of Lambda's own runtime for Python: it imports the handler once, then answers one invocation after
another. It runs as ``python -I -S`` and imports the standard library only, so that a handler sees nothing but its own
package and what Lambda offers.

Two things are the lab's and not Lambda's; both are here and nowhere else:

* Virtual time. With a clock that is faster than real time, ``time``, ``datetime``, ``sleep`` and the timeouts
  of sockets and of ``threading`` follow the clock. Limits: waits inside C code with a timeout of its own (``select``,
  ``Lock.acquire``) stay in real time, and the work of the processor counts with the clock's speed.
* Names. Functions resolve names of RDS endpoints, which are public, at the lab's DNS server of the region, and those
  inside the VPC names of the private zone; for other functions these do not exist.

The parent sends and receives messages over one socket: four bytes of length, then JSON.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import os
import secrets
import socket
import struct
import sys
import threading
import time
import traceback
from typing import Any

LENGTH = struct.Struct("!I")

# DNS, RFC 1035: message header, and the fixed part of a resource record.
DNS_HEADER = struct.Struct("!HHHHHH")
DNS_RECORD = struct.Struct("!HHIH")
DNS_RECURSION_DESIRED = 0x0100
DNS_RESPONSE_CODE = 0x000F
TYPE_A, TYPE_CNAME, CLASS_IN = 1, 5, 1
DNS_MESSAGE_BYTES = 4096
# Names may point back into the message; more hops than this are a loop.
DNS_POINTER_LIMIT = 16
# The resolver's defaults are 5 s and two attempts (man 5 resolv.conf); the lab's server is on this machine.
DNS_TIMEOUT_SECONDS = 1.0
DNS_ATTEMPTS = 2
RDS_DOMAIN = "rds.amazonaws.com"


class Context:
    """The second argument of a handler (Lambda guide, "Using the Lambda context object")."""

    client_context = None
    identity = None

    def __init__(self, request_id: str, function_arn: str, timeout_seconds: float) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.invoked_function_arn = function_arn
        self.aws_request_id = request_id
        self._deadline = time.monotonic() + timeout_seconds

    def get_remaining_time_in_millis(self) -> int:
        """Returns how many milliseconds are left before Lambda ends this invocation."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def main() -> None:
    """Reads the settings, imports the handler, answers invocations until the parent goes away."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    settings = receive(channel)
    if settings is None:
        return
    if settings["speed"] != 1:
        follow_clock(settings["speed"], settings["epoch"])
    resolve_names(settings["zone"], settings["dns_server"], in_vpc=settings["in_vpc"])
    # Lambda's order: the function's package, the language, what the runtime offers.
    sys.path[:] = [settings["package"], *sys.path, settings["runtime"]]
    wall, processor = time.perf_counter(), time.process_time()
    handler, error = load_handler(settings["handler"])
    took = {"wall_ms": (time.perf_counter() - wall) * 1000, "processor_ms": (time.process_time() - processor) * 1000}
    send(channel, {"error": error, "took": took})
    while handler is not None and (request := receive(channel)) is not None:
        send(channel, invoke(handler, request))


def load_handler(name: str) -> tuple[Any, dict[str, Any] | None]:
    """Imports ``package.module.function``; returns the function, or what Lambda reports when that fails."""
    module_name, _, function_name = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        return None, failure("Runtime.ImportModuleError", message, error)
    except SyntaxError as error:
        return None, failure("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", error)
    except Exception as error:  # noqa: BLE001 - whatever a module raises while it is imported
        return None, failure(type(error).__name__, str(error), error)
    if not hasattr(module, function_name):
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        return None, failure("Runtime.HandlerNotFound", message, None)
    return getattr(module, function_name), None


def invoke(handler: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Runs the handler once; returns its result, or its error in Lambda's shape."""
    request_id = request["request_id"]
    started = time.monotonic()
    print(f"START RequestId: {request_id} Version: $LATEST", flush=True)
    context = Context(request_id, request["function_arn"], request["timeout_seconds"])
    try:
        answer: dict[str, Any] = {"result": marshal(handler(request["event"], context)), "error": None}
    except Exception as error:  # noqa: BLE001 - whatever a handler raises
        report = failure(type(error).__name__, str(error), error) | {"requestId": request_id}
        print(f"[ERROR] {report['errorType']}: {report['errorMessage']}", flush=True)
        print("".join(report["stackTrace"]), flush=True)
        answer = {"result": None, "error": report}
    elapsed_ms = (time.monotonic() - started) * 1000
    print(f"END RequestId: {request_id}", flush=True)
    print(f"REPORT RequestId: {request_id}\tDuration: {elapsed_ms:.2f} ms", flush=True)
    return answer


class MarshalError(Exception):
    """The handler returned something that is not JSON."""


MarshalError.__name__ = "Runtime.MarshalError"  # the name that Lambda reports


def marshal(result: Any) -> str:
    """Returns the result as JSON text."""
    try:
        return json.dumps(result)
    except (TypeError, ValueError) as error:
        raise MarshalError(f"Unable to marshal response: {error}") from error


def failure(kind: str, message: str, error: BaseException | None) -> dict[str, Any]:
    """Returns an error as Lambda reports it to the caller."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    own = [frame for frame in frames if frame.filename != __file__]
    return {"errorMessage": message, "errorType": kind, "stackTrace": traceback.format_list(own)}


# --- messages


def send(channel: socket.socket, message: dict[str, Any]) -> None:
    """Writes one message."""
    body = json.dumps(message).encode()
    channel.sendall(LENGTH.pack(len(body)) + body)


def receive(channel: socket.socket) -> dict[str, Any] | None:
    """Reads one message; None when the other side has gone."""
    head = _read(channel, LENGTH.size)
    body = _read(channel, LENGTH.unpack(head)[0]) if head is not None else None
    return json.loads(body) if body is not None else None


def _read(channel: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(size - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)


# --- virtual time


def follow_clock(speed: float, epoch: float) -> None:
    """Makes this process live in virtual time: ``epoch + (real - epoch) * speed``. Called before any other import."""
    real_time, real_monotonic, real_sleep = time.time, time.monotonic, time.sleep
    start = real_monotonic()

    def now() -> float:
        return epoch + (real_time() - epoch) * speed

    def monotonic() -> float:
        return start + (real_monotonic() - start) * speed

    time.time, time.time_ns = now, lambda: int(now() * 1e9)
    time.monotonic = time.perf_counter = monotonic
    time.monotonic_ns = time.perf_counter_ns = lambda: int(monotonic() * 1e9)
    time.sleep = lambda seconds: real_sleep(float(seconds) / speed)
    threading._time = monotonic  # type: ignore[attr-defined]  # what Condition.wait_for uses
    _scale_waits(speed)
    _scale_sockets(speed)
    _move_datetime(now)


def _scale_waits(speed: float) -> None:
    """Scales ``Condition.wait``, on which events, queues and futures rest too."""
    wait, join = threading.Condition.wait, threading.Thread.join

    def scaled_wait(self: threading.Condition, timeout: float | None = None) -> bool:
        return wait(self, None if timeout is None else timeout / speed)

    def scaled_join(self: threading.Thread, timeout: float | None = None) -> None:
        join(self, None if timeout is None else timeout / speed)

    threading.Condition.wait = scaled_wait  # type: ignore[method-assign]
    threading.Thread.join = scaled_join  # type: ignore[method-assign]


def _scale_sockets(speed: float) -> None:
    """Scales the timeouts of sockets, TLS included, since its sockets inherit from this class."""
    set_real, get_real = socket.socket.settimeout, socket.socket.gettimeout

    def settimeout(self: socket.socket, value: float | None) -> None:
        set_real(self, None if value is None else value / speed)

    def gettimeout(self: socket.socket) -> float | None:
        value = get_real(self)
        return None if value is None else value * speed

    socket.socket.settimeout = settimeout  # type: ignore[method-assign, assignment]
    socket.socket.gettimeout = gettimeout  # type: ignore[method-assign, assignment]


def _move_datetime(now: Any) -> None:
    """Replaces ``datetime.datetime`` with a subclass whose present is the clock's."""
    real = datetime.datetime

    class Meta(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, real)

    class VirtualDatetime(real, metaclass=Meta):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return cls.fromtimestamp(now(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.fromtimestamp(now(), datetime.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    VirtualDatetime.__name__ = VirtualDatetime.__qualname__ = "datetime"
    datetime.datetime = VirtualDatetime  # type: ignore[misc]


# --- names


def resolve_names(zone: str, server: list[Any], *, in_vpc: bool) -> None:
    """Makes ``server`` (address, port) resolve names of RDS and, inside the VPC, of ``zone``; outside it has none."""
    ask_host, ask_names = socket.getaddrinfo, socket.gethostbyname_ex

    def is_in(domain: str, name: str) -> bool:
        return name == domain or name.endswith(f".{domain}")

    def is_ours(name: str) -> bool:
        return is_in(zone, name) or is_in(RDS_DOMAIN, name)

    def ask(name: str) -> tuple[list[str], str]:
        if is_in(zone, name) and not in_vpc:
            raise socket.gaierror(socket.EAI_NONAME, f"{name} exists inside the VPC only")
        return query(name, (server[0], server[1]))

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        name = host.rstrip(".").lower() if isinstance(host, str) else ""
        return ask_host(ask(name)[1] if is_ours(name) else host, *arguments, **named)

    def gethostbyname_ex(host: str) -> tuple[str, list[str], list[str]]:
        name = host.rstrip(".").lower()
        if not is_ours(name):
            return ask_names(host)
        chain, address = ask(name)
        return chain[-1], chain[:-1], [address]

    socket.getaddrinfo = getaddrinfo
    socket.gethostbyname_ex = gethostbyname_ex


def query(name: str, server: tuple[str, int]) -> tuple[list[str], str]:
    """Returns the chain of names along which a name leads, the last one at the end, and the IPv4 address of that one.

    Raises
    ------
    socket.gaierror
        When the name has no address (EAI_NONAME), or nothing answers (EAI_AGAIN).
    """
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    number = secrets.randbelow(1 << 16)
    question = (
        DNS_HEADER.pack(number, DNS_RECURSION_DESIRED, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, TYPE_A, CLASS_IN)
    )
    answer = _ask(question, server)
    if answer is None:
        raise socket.gaierror(socket.EAI_AGAIN, f"no DNS server answers for {name}")
    return _address(name, answer)


def _ask(question: bytes, server: tuple[str, int]) -> bytes | None:
    for _ in range(DNS_ATTEMPTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking, contextlib.suppress(OSError):
            asking.settimeout(DNS_TIMEOUT_SECONDS)
            asking.connect(server)
            asking.send(question)
            answer = asking.recv(DNS_MESSAGE_BYTES)
            if answer[:2] == question[:2]:  # the number of the question
                return answer
    return None


def _address(name: str, message: bytes) -> tuple[list[str], str]:
    """Returns the names of the answer's CNAME chain and the address of the last one."""
    _, flags, questions, answers, _, _ = DNS_HEADER.unpack_from(message)
    position = DNS_HEADER.size
    for _ in range(questions):
        position = _name(message, position)[1] + 4
    chain: list[str] = []
    for _ in range(answers if not flags & DNS_RESPONSE_CODE else 0):
        owner, position = _name(message, position)
        chain.append(owner)
        kind, _, _, size = DNS_RECORD.unpack_from(message, position)
        position += DNS_RECORD.size
        if kind == TYPE_A:
            return chain, socket.inet_ntoa(message[position : position + size])
        position += size
    raise socket.gaierror(socket.EAI_NONAME, f"{name} has no address")


def _name(message: bytes, position: int) -> tuple[str, int]:
    """Returns the name at a position, and the position after it (RFC 1035, section 4.1.4)."""
    labels: list[str] = []
    end = 0
    for _ in range(DNS_POINTER_LIMIT * DNS_POINTER_LIMIT):
        size = message[position]
        if size >= 0xC0:  # two bits set: a pointer to an earlier place
            end = end or position + 2
            position = struct.unpack_from("!H", message, position)[0] & 0x3FFF
        elif size:
            labels.append(message[position + 1 : position + 1 + size].decode())
            position += 1 + size
        else:
            return ".".join(labels).lower(), end or position + 1
    raise ValueError("a name in a DNS answer points at itself")


if __name__ == "__main__":
    main()
