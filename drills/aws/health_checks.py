"""Route 53's health checks: of a function's public URL, and calculated from others.

Models (Route 53 developer guide, "How Amazon Route 53 determines whether a health check is healthy"):

* Health checkers in several data centers ask an endpoint at the interval, and do not coordinate: each has a clock of
  its own. To one of them the endpoint is healthy when it answers with a status from 200 to 399 in time, and its
  opinion changes after as many equal results in a row as the failure threshold says.
* The endpoint is healthy when more than 18% of the checkers say so. With sixteen that is three of them: quick to turn
  healthy (a fifth of an interval), and slow to turn unhealthy (most of one).
* A new check counts as healthy until it has data.
* A calculated check is healthy when at least as many of its parts are as its threshold says; an inverted one inverts
  that at the end (Route 53 API reference, ``HealthCheckConfig``), so that a new one is unhealthy.

A request is an invocation of the function with the event of a function URL (Lambda developer guide, "Invoking Lambda
function URLs", payload format 2.0).

Limits: sixteen checkers is what is observed (two in each of eight regions); the guide gives no number, and says that
the 18% may change. They are in no place of their own: all reach a region, or none does. When the checks start, the
endpoint's first answer is every checker's, since a deployment's checks have long been at work. DNS servers learn of a
change at once, whereas Route 53 spreads it in a moment, and how long a calculated check takes to follow its parts is
not documented. No TCP and no TLS: connecting (4 s) and answering (2 s) share one time limit.
"""

from __future__ import annotations

import random
import threading
import uuid
from typing import TYPE_CHECKING, Any

from drills.aws.happenings import Happening, Kind
from drills.aws.lambda_runtime import RegionDownError, ThrottledError
from drills.world.reachability import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from drills.aws.happenings import Observe
    from drills.aws.lambda_runtime import LambdaService
    from drills.aws.timetable import Timetable
    from drills.world.clock import Clock
    from drills.world.reachability import Reachability
    from orchestration.specification.model import CalculatedHealthCheck, HealthCheck, Zone

CHECKERS = 16
HEALTHY_ABOVE = 0.18  # of the checkers
ANSWER_LIMIT_SECONDS = 6.0
HEALTHY_STATUS = range(200, 400)


class EndpointCheck:
    """One health check of an endpoint, by all checkers. ``changed`` is called after its status has changed."""

    def __init__(
        self,
        check: HealthCheck,
        lambdas: LambdaService,
        reachability: Reachability,
        clock: Clock,
        changed: Callable[[], None],
        seed: int = 0,
    ) -> None:
        self.check = check
        self._reachability = reachability
        self._lambdas = lambdas
        self._clock = clock
        self._changed = changed
        self._chance = random.Random(f"{seed} {check.key}")  # noqa: S311 - nothing secret
        self._opinions = [True] * CHECKERS
        self._different_in_row = [0] * CHECKERS
        self._counting = threading.Lock()
        self._asking: set[int] = set()

    @property
    def healthy(self) -> bool:
        """Whether enough checkers say so."""
        return sum(self._opinions) > HEALTHY_ABOVE * CHECKERS

    def start(self, timetable: Timetable) -> None:
        """Has every checker ask at the interval, from a moment of its own within the first one."""
        self._in_thread(self._begin)
        began = self._clock.now()
        for checker in range(CHECKERS):
            timetable.every(
                self.check.interval_seconds,
                began + self.check.interval_seconds * self._chance.random(),
                lambda _, checker=checker: self._begin_asking(checker),  # type: ignore[misc]
            )

    def _begin(self) -> None:
        """Lets the first answer be every checker's."""
        answered = self._ask()
        self._count(lambda: self._opinions.__setitem__(slice(None), [answered] * CHECKERS))

    def _begin_asking(self, checker: int) -> None:
        if checker not in self._asking:  # it still waits for the last answer
            self._asking.add(checker)
            self._in_thread(lambda: self.ask_from(checker))

    def _in_thread(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=f"health check {self.check.key}", daemon=True).start()

    def ask_from(self, checker: int) -> None:
        """Has one checker ask the endpoint once, and counts the answer."""
        try:
            answered = self._ask()
        finally:
            self._asking.discard(checker)
        self._count(lambda: self._form_opinion(checker, answered))

    def _count(self, change: Callable[[], None]) -> None:
        with self._counting:
            before = self.healthy
            change()
            changed = self.healthy != before
        if changed:
            self._changed()

    def _form_opinion(self, checker: int, answered: bool) -> None:
        different = self._different_in_row
        different[checker] = different[checker] + 1 if answered != self._opinions[checker] else 0
        if different[checker] >= self.check.failure_threshold:
            different[checker] = 0
            self._opinions[checker] = answered

    def _ask(self) -> bool:
        """Returns whether the endpoint is reached and gives a good answer in time."""
        if not self._reachability.reaches(OUTSIDE, self.check.function_region):
            return False
        answers: list[bool] = []
        asking = threading.Thread(target=lambda: answers.append(self._request()), daemon=True)
        asking.start()
        asking.join(self._clock.to_real(ANSWER_LIMIT_SECONDS))
        return answers == [True]

    def _request(self) -> bool:
        try:
            outcome = self._lambdas.invoke(
                self.check.function_region,
                self.check.function.name,
                function_url_event(self.check.path, self._clock.now()),
            )
        except (RegionDownError, ThrottledError):
            return False
        # A function that fails makes its URL answer 502 (Lambda guide, "Monitoring Lambda function URLs").
        return not outcome.failed and status_code(outcome.value) in HEALTHY_STATUS


class CalculatedCheck:
    """A health check over others."""

    def __init__(self, check: CalculatedHealthCheck, parts: Mapping[str, EndpointCheck]) -> None:
        self.check = check
        self._parts = [parts[key] for key in check.parts]

    @property
    def healthy(self) -> bool:
        """The status as DNS uses it, after inversion."""
        enough = sum(part.healthy for part in self._parts) >= self.check.threshold
        return enough != self.check.inverted


class HealthChecks:
    """The checks of a zone that DNS answers by; ``observe`` is told when the answer changes."""

    def __init__(
        self,
        zone: Zone,
        lambdas: LambdaService,
        reachability: Reachability,
        clock: Clock,
        observe: Observe,
        seed: int = 0,
    ) -> None:
        self.endpoints = {
            check.key: EndpointCheck(check, lambdas, reachability, clock, self._tell, seed)
            for check in zone.health_checks
        }
        self._writer = CalculatedCheck(zone.writer_check, self.endpoints)
        # The region that PRIMARY does not lead to: where clients go when the check is unhealthy.
        (self._region,) = (record.cluster_region for record in zone.records if record.failover == "SECONDARY")
        self._observe = observe
        self._telling = threading.Lock()
        self._told = self._writer.healthy

    def start(self, timetable: Timetable) -> None:
        """Has every endpoint checked from now on."""
        for check in self.endpoints.values():
            check.start(timetable)

    def is_healthy(self, key: str) -> bool:
        """Returns whether DNS considers the health check of that key healthy."""
        return self._writer.healthy if key == self._writer.check.key else self.endpoints[key].healthy

    def _tell(self) -> None:
        with self._telling:
            healthy = self._writer.healthy
            if healthy != self._told:
                self._told = healthy
                detail = {"healthy": healthy}
                self._observe(Happening(Kind.HEALTH_CHANGED, self._region, self._writer.check.key, detail))


def status_code(result: Any) -> int:
    """Returns the HTTP status that a function URL gives for a handler's result: 200 when that names none."""
    code = result.get("statusCode", 200) if isinstance(result, dict) else 200
    return code if isinstance(code, int) else 502


def function_url_event(path: str, now: float) -> dict[str, Any]:
    """Returns the event of a GET request to a function URL; ``now`` in seconds since 1970."""
    domain = "lab.lambda-url.on.aws"
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "host": domain,
            "user-agent": "Amazon-Route53-Health-Check-Service (ref lab; report http://amzn.to/1vsZADi)",
        },
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "lab",
            "domainName": domain,
            "domainPrefix": "lab",
            "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": ""},
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
