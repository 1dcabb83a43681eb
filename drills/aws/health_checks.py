"""Route 53's health checkers: an HTTPS check of a function's public URL.

Models (Route 53 developer guide, "How Amazon Route 53 determines whether a health check is healthy"): the endpoint is
healthy when it answers with a status from 200 to 399 in time; the status changes after as many equal results in a row
as the failure threshold says; an inverted check inverts the result at the end, so an endpoint that nobody reaches is
unhealthy, and with inversion healthy. A new check counts as healthy until its first result, an inverted one as
unhealthy.

A request is an invocation of the function with the event of a function URL (Lambda developer guide, "Invoking Lambda
function URLs", payload format 2.0).

Limits: one checker asks at each interval. Route 53 has some fifteen in several regions, each at moments of its own, and
calls the endpoint healthy when more than 18% of them do. An endpoint that turns healthy is therefore noticed after
about a fifth of the interval, and one that turns unhealthy after most of it; here both take between 0 and one whole
interval, so the lab is pessimistic about the engaged switch. DNS servers learn of a change at once, whereas Route 53
spreads it in a moment. No TCP and no TLS: connecting (4 s) and answering (2 s) share one time limit.
"""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any

from drills.aws.happenings import Happening, Kind
from drills.aws.lambda_runtime import RegionDownError, ThrottledError
from drills.world.reachability import OUTSIDE

if TYPE_CHECKING:
    from drills.aws.happenings import Observe
    from drills.aws.lambda_runtime import LambdaService
    from drills.aws.timetable import Timetable
    from drills.world.clock import Clock
    from drills.world.reachability import Reachability
    from orchestration.specification.model import HealthCheck

ANSWER_LIMIT_SECONDS = 6.0
HEALTHY_STATUS = range(200, 400)


class HealthChecker:
    """One health check."""

    def __init__(
        self, check: HealthCheck, lambdas: LambdaService, reachability: Reachability, clock: Clock, observe: Observe
    ) -> None:
        self._check = check
        self._reachability = reachability
        self._lambdas = lambdas
        self._clock = clock
        self._observe = observe
        self._endpoint_healthy = True
        self._different_in_row = 0
        self._asking = threading.Lock()

    @property
    def healthy(self) -> bool:
        """The status as DNS uses it, after inversion."""
        return self._endpoint_healthy != self._check.inverted

    def start(self, timetable: Timetable) -> None:
        """Checks now, and then at every interval."""
        timetable.every(self._check.interval_seconds, self._clock.now(), self._begin)

    def _begin(self, _due: float) -> None:
        threading.Thread(target=self.check_once, name=f"health check {self._check.key}", daemon=True).start()

    def check_once(self) -> None:
        """Asks the endpoint once and counts its answer."""
        answered = self._ask()
        with self._asking:
            self._different_in_row = self._different_in_row + 1 if answered != self._endpoint_healthy else 0
            if self._different_in_row < self._check.failure_threshold:
                return
            self._different_in_row = 0
            self._endpoint_healthy = answered
        self._observe(
            Happening(Kind.HEALTH_CHANGED, self._check.function_region, self._check.key, {"healthy": self.healthy})
        )

    def _ask(self) -> bool:
        """Returns whether the endpoint is reached and gives a good answer in time."""
        if not self._reachability.reaches(OUTSIDE, self._check.function_region):
            return False
        answers: list[bool] = []

        def ask() -> None:
            answers.append(self._request())

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(self._clock.to_real(ANSWER_LIMIT_SECONDS))
        return answers == [True]

    def _request(self) -> bool:
        try:
            outcome = self._lambdas.invoke(
                self._check.function_region,
                self._check.function.name,
                function_url_event(self._check.path, self._clock.now()),
            )
        except (RegionDownError, ThrottledError):
            return False
        # A function that fails makes its URL answer 502 (Lambda guide, "Monitoring Lambda function URLs").
        return not outcome.failed and status_code(outcome.value) in HEALTHY_STATUS


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
