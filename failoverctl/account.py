"""The account that a deployment is in, or is to be in, as ``verify`` and ``preflight`` look at it: by daylight.

The verbs of whoever is on call ask little, once, and wait shortly. These ask everything, wait, and try again.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.config import Config
from botocore.session import get_session

from failoverctl.deployment import Deployment, Reading
from failoverctl.ready import asked
from handlers.core.readiness import Finding, NotSeen
from handlers.gateways.aws import named_errors
from handlers.gateways.prober import Prober
from orchestration.specification import Names, Specification, describe

CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ATTEMPTS = 3, 15, 5


class Account:
    """One account; several threads may ask it at once."""

    def __init__(self, deployment: Deployment, *, in_lab: bool = False) -> None:
        self.deployment = deployment
        self.settings = deployment.settings
        self.in_lab = in_lab
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._asking = threading.Lock()  # what is asked once for all

    @property
    def regions(self) -> tuple[str, str]:
        """Both regions, that of the deployment's first writer first."""
        return self.deployment.regions

    @functools.cached_property
    def specification(self) -> Specification:
        """All that is deployed, or is to be."""
        return describe(self.settings, self.deployment.identity.account)

    @property
    def names(self) -> Names:
        """The names of all that."""
        return self.specification.names

    def peer(self, region: str) -> str:
        """Returns the other region."""
        return self.deployment.peer(region)

    def client(self, service: str, region: str) -> Any:
        """Returns a client, by botocore's name of the service; one for each service and region."""
        with self._lock:  # making a client is not safe beside another
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = get_session().create_client(
                    service,
                    region_name=region,
                    config=Config(
                        connect_timeout=CONNECT_TIMEOUT_S,
                        read_timeout=READ_TIMEOUT_S,
                        s3={"us_east_1_regional_endpoint": "regional"},
                        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                    ),
                )
            return self._clients[key]

    def pages(self, service: str, region: str, operation: str, of: str, **asked_for: Any) -> list[Any]:
        """Returns the members ``of`` every page of an operation's answer; raises `FailoverError`."""
        with named_errors(f"{service} {operation.replace('_', ' ')} in {region}"):
            pages = self.client(service, region).get_paginator(operation).paginate(**asked_for)
            return [each for page in pages for each in page.get(of, ())]

    def answer(self, service: str, region: str, operation: str, **asked_for: Any) -> Any:
        """Returns an operation's answer; raises `FailoverError`."""
        with named_errors(f"{service} {operation.replace('_', ' ')} in {region}"):
            return getattr(self.client(service, region), operation)(**asked_for)

    def points(
        self, region: str, namespace: str, name: str, dimensions: Mapping[str, str], of: timedelta, period_s: int
    ) -> list[Any]:
        """Returns what CloudWatch has of a metric in the time ``of`` that ends now; raises `FailoverError`."""
        end = datetime.fromtimestamp(self.reading.now, UTC)
        answer = self.answer(
            "cloudwatch",
            region,
            "get_metric_statistics",
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=end - of,
            EndTime=end,
            Period=period_s,
            Statistics=["Maximum", "Minimum", "Sum"],
        )
        return list(answer["Datapoints"])

    # --- the deployment's own view

    @property
    def reading(self) -> Reading:
        """The control record and the time, as the first region that answers tells them; raises `CannotTell`."""
        with self._asking:
            return self._reading

    @functools.cached_property
    def _reading(self) -> Reading:
        return self.deployment.read()

    @property
    def writer(self) -> str:
        """The region of the writer, by the control record."""
        return self.reading.record.writer_region

    @functools.cached_property
    def _readiness(self) -> Sequence[Finding]:
        return asked(self.deployment)

    def ready(self, check: str, region: str) -> Finding:
        """Returns what the region's function ``readiness`` says of one check; raises `NotSeen`."""
        with self._asking:
            found = self._readiness
        here = [each for each in found if each.region == region]
        for each in here:
            if each.check == check:
                return each
        raise NotSeen(here[0].fact if here else f"the function readiness of {region} does not tell")

    def prober(self, region: str) -> Prober:
        """Returns the region's prober."""
        return Prober(self.client("lambda", region), self.names.function("prober", region))
