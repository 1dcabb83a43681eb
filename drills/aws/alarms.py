"""CloudWatch's alarms: evaluation in virtual time, over the metric data that moto stores.

Models (CloudWatch user guide, "Using Amazon CloudWatch alarms", "Configuring how CloudWatch alarms treat missing
data", "Evaluating an alarm", "Alarm events and EventBridge"):

* An alarm with a period of 10 s or 30 s is evaluated every 10 s, any other every minute. Each alarm has its own moment
  for this, drawn from the seed, and its periods end at that moment.
* It goes to ALARM when as many of its evaluation periods breach as it demands ("M out of N"), all of them if it does
  not say. It looks at two more periods than that (the guide's example; the true number is not documented). When enough
  of them hold data, the newest ones decide; otherwise the missing ones are treated as the alarm says.
* A change of state is an event on the default bus, and a message to the region's topic when the alarm notifies and
  goes to ALARM.

Limits: a metric counts from the moment it is put, whereas CloudWatch takes a moment to show it; the early alarm for old
breaching data among missing ones is not modelled. An alarm is evaluated for the first time when one whole period has
passed. Data is kept for an hour.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from moto.cloudwatch.models import MetricDatum, cloudwatch_backends

from drills.aws.happenings import Happening, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drills.aws.events import EventBus
    from drills.aws.happenings import Observe
    from drills.aws.timetable import Timetable
    from drills.world.clock import Clock
    from orchestration.specification.model import Metric, MetricAlarm, Region

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Treatment = Literal["breaching", "notBreaching", "ignore", "missing"]

HIGH_RESOLUTION_INTERVAL_SECONDS = 10
STANDARD_INTERVAL_SECONDS = 60
# Nobody in the lab asks for older data; each look at an alarm goes through all of it.
KEPT_SECONDS = 3600.0
# How many more periods than the evaluation periods are looked at when data is missing.
EXTRA_PERIODS = 2
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (lambda value, threshold: value > threshold, "greater than"),
    "GreaterThanOrEqualToThreshold": (lambda value, threshold: value >= threshold, "greater than or equal to"),
    "LessThanThreshold": (lambda value, threshold: value < threshold, "less than"),
}
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "Sum": sum,
}


class Alarms:
    """Every alarm of every region. Their states are moto's, so ``DescribeAlarms`` returns them."""

    def __init__(
        self,
        account: str,
        clock: Clock,
        bus: EventBus,
        *,
        publish: Callable[[str, str, str], None],
        is_down: Callable[[str], bool],
        observe: Observe,
        seed: int,
    ) -> None:
        """Creates no alarm yet.

        Parameters
        ----------
        account, clock, bus
            The account, the lab's clock, and where events go.
        publish
            Called with region, subject and message to notify people.
        is_down
            Whether a region is down: its alarms then stand still.
        observe
            Told of every change of state.
        seed
            Fixes the moments of evaluation.
        """
        self._account = account
        self._clock = clock
        self._bus = bus
        self._publish = publish
        self._is_down = is_down
        self._observe = observe
        self._seed = seed
        # From when on, and by how much at most, metrics are seen late (virtual seconds).
        self._late_from, self._late_seconds = 0.0, 0.0
        self._lock = threading.Lock()  # one change at a time

    def create(self, region: Region, cloudwatch: Any, topic_arn: str) -> None:
        """Puts a region's alarms into moto; ``cloudwatch`` is a boto3 client of the region."""
        for alarm in region.alarms:
            cloudwatch.put_metric_alarm(**_request(alarm, topic_arn))
            self._stored(region.name, alarm.name).state_value = "INSUFFICIENT_DATA"  # as a new alarm of CloudWatch's is

    def start(self, region: Region, timetable: Timetable) -> None:
        """Starts evaluating a region's alarms."""
        for alarm in region.alarms:
            interval = _interval(alarm)
            delay = alarm.metric.period_seconds + random.Random(f"{self._seed} {alarm.name}").uniform(0, interval)  # noqa: S311
            timetable.every(
                interval,
                self._clock.now() + delay,
                lambda due, alarm=alarm: self.evaluate(region.name, alarm, due),  # type: ignore[misc]
            )

        timetable.every(STANDARD_INTERVAL_SECONDS, self._clock.now(), lambda due: self.forget(region.name, due))

    def forget(self, region: str, now: float) -> None:
        """Drops a region's metric data of more than an hour ago, so that a lab may run for days."""
        data = cloudwatch_backends[self._account][region].metric_data
        old = itertools.takewhile(lambda datum: _seconds(datum.timestamp) < now - KEPT_SECONDS, list(data))
        del data[: sum(1 for _ in old)]

    def see_late(self, seconds: float) -> None:
        """Lets alarms see metrics late, by up to so many seconds: first what there is now, then what is that old."""
        self._late_from, self._late_seconds = self._clock.now(), seconds

    def state(self, region: str, name: str) -> State:
        """Returns the state of the alarm of that name."""
        return self._stored(region, name).state_value  # type: ignore[no-any-return]

    def evaluate(self, region: str, alarm: MetricAlarm, due: float) -> None:
        """Evaluates one alarm over the periods that end at the virtual time ``due``."""
        if self._is_down(region):
            return
        due -= min(max(due - self._late_from, 0.0), self._late_seconds)
        points = self._points(region, alarm, due)
        breaches, _ = COMPARISONS[alarm.comparison]
        breaching = [None if point is None else breaches(point, alarm.threshold) for point in points]
        state = judge(
            breaching,
            alarm.evaluation_periods,
            alarm.datapoints or alarm.evaluation_periods,
            alarm.missing_data,
            self.state(region, alarm.name),
        )
        recent = [point for point in points if point is not None][: alarm.evaluation_periods]
        reason, data = _reason(alarm, recent, state, due)
        with self._lock:
            self._change(region, alarm, state, reason, data)

    def _points(self, region: str, alarm: MetricAlarm, due: float) -> list[float | None]:
        """Returns the statistic of each period looked at, newest first; None where there is no data."""
        metric = alarm.metric
        periods: list[list[float]] = [[] for _ in range(alarm.evaluation_periods + EXTRA_PERIODS)]
        for datum in list(cloudwatch_backends[self._account][region].metric_data):
            if isinstance(datum, MetricDatum) and _belongs(datum, metric):
                index = int((due - _seconds(datum.timestamp)) // metric.period_seconds)
                if 0 <= index < len(periods):
                    periods[index].append(datum.value)
        statistic = STATISTICS[metric.statistic]
        return [float(statistic(values)) if values else None for values in periods]

    def _change(self, region: str, alarm: MetricAlarm, state: State, reason: str, data: dict[str, Any]) -> None:
        """Gives an alarm a state; if it differs from the one before, tells everyone."""
        stored = self._stored(region, alarm.name)
        previous = _state_of(stored)
        if previous["value"] == state:
            return
        now = self._clock.now()
        stored.update_state(reason, json.dumps(data), state)
        stored.state_updated_timestamp = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)
        told = {"key": alarm.key, "state": state, "previous": previous["value"], "reason": reason}
        self._observe(Happening(Kind.ALARM_CHANGED, region, alarm.name, told))
        detail = {
            "alarmName": alarm.name,
            "state": _state_of(stored),
            "previousState": previous,
            "configuration": _configuration(alarm),
        }
        self._bus.put(_event(self._account, region, stored.alarm_arn, detail, now))
        if state == "ALARM" and alarm.notifies:
            self._publish(region, f'ALARM: "{alarm.name}" in {region}', f"{alarm.description}\n{reason}")

    def _stored(self, region: str, name: str) -> Any:
        return cloudwatch_backends[self._account][region].alarms[name]


def judge(
    breaching: Sequence[bool | None], periods: int, datapoints: int, treatment: Treatment, current: State
) -> State:
    """Returns the state of an alarm that needs ``datapoints`` of its ``periods`` to breach.

    ``breaching`` tells of each period looked at, newest first, whether it breaches; None where data is missing.
    The rules are those of the tables in the guide on missing data.
    """
    known = [value for value in breaching if value is not None][:periods]
    missing = periods - len(known)
    if not known:
        return {"breaching": "ALARM", "notBreaching": "OK", "missing": "INSUFFICIENT_DATA", "ignore": current}[
            treatment
        ]  # type: ignore[return-value]
    if missing and treatment == "ignore" and all(known):
        return current
    as_breaching = missing if treatment == "breaching" or (treatment == "missing" and all(known)) else 0
    return "ALARM" if sum(known) + as_breaching >= datapoints else "OK"


def _interval(alarm: MetricAlarm) -> int:
    short = alarm.metric.period_seconds < STANDARD_INTERVAL_SECONDS
    return HIGH_RESOLUTION_INTERVAL_SECONDS if short else STANDARD_INTERVAL_SECONDS


def _belongs(datum: MetricDatum, metric: Metric) -> bool:
    """Returns whether a stored value belongs to the metric: its dimensions are exactly the metric's."""
    if (datum.namespace, datum.name) != (metric.namespace, metric.name):
        return False
    return {dimension.name: dimension.value for dimension in datum.dimensions} == metric.dimensions


def _request(alarm: MetricAlarm, topic_arn: str) -> dict[str, Any]:
    """Returns the parameters of PutMetricAlarm."""
    metric = alarm.metric
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions.items()]
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Statistic": metric.statistic,
        "Period": metric.period_seconds,
        "Dimensions": dimensions,
        "ComparisonOperator": alarm.comparison,
        "Threshold": alarm.threshold,
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints or alarm.evaluation_periods,
        "TreatMissingData": alarm.missing_data,
        "AlarmActions": [topic_arn] if alarm.notifies else [],
    }


def _configuration(alarm: MetricAlarm) -> dict[str, Any]:
    """Returns the part ``configuration`` of an alarm's event."""
    metric = alarm.metric
    named = {"namespace": metric.namespace, "name": metric.name, "dimensions": metric.dimensions}
    stat = {"metric": named, "period": metric.period_seconds, "stat": metric.statistic}
    metrics = [{"id": "metric", "metricStat": stat, "returnData": True}]
    return {"description": alarm.description, "metrics": metrics}


def _reason(alarm: MetricAlarm, recent: Sequence[float], state: State, due: float) -> tuple[str, dict[str, Any]]:
    """Returns why the alarm has this state, as text and as data, in CloudWatch's words."""
    metric = alarm.metric
    _, words = COMPARISONS[alarm.comparison]
    if recent:
        values = ", ".join(str(value) for value in recent)
        negation = "was" if state == "ALARM" else "was not"
        reason = (
            f"Threshold Crossed: {len(recent)} out of the last {alarm.evaluation_periods} datapoints [{values}] "
            f"{negation} {words} the threshold ({float(alarm.threshold)})."
        )
    else:
        reason = (
            f"No datapoints were received for {alarm.evaluation_periods} periods, treated as [{alarm.missing_data}]."
        )
    data = {
        "version": "1.0",
        "queryDate": _timestamp(due),
        "startDate": _timestamp(due - metric.period_seconds * alarm.evaluation_periods),
        "statistic": metric.statistic,
        "period": metric.period_seconds,
        "recentDatapoints": list(recent),
        "threshold": alarm.threshold,
    }
    return reason, data


def _state_of(alarm: Any) -> dict[str, str]:
    return {
        "value": alarm.state_value,
        "reason": alarm.state_reason,
        "reasonData": alarm.state_reason_data,
        "timestamp": _timestamp(_seconds(alarm.state_updated_timestamp)),
    }


def _event(account: str, region: str, arn: str, detail: dict[str, Any], now: float) -> dict[str, Any]:
    """Returns the event "CloudWatch Alarm State Change"."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": account,
        "time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [arn],
        "detail": detail,
    }


def _seconds(moment: datetime) -> float:
    """Returns moto's time (UTC, with or without saying so) as seconds since 1970."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _timestamp(seconds: float) -> str:
    """Returns a time as alarm events have it: ``2019-10-02T17:04:40.989+0000``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
