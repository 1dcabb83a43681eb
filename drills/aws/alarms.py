"""CloudWatch's alarms: evaluation in virtual time, over the metric data that moto stores.

Models (CloudWatch user guide, "Using Amazon CloudWatch alarms", "Configuring how CloudWatch alarms treat missing
data", "Create a composite alarm", "Alarm events and EventBridge"):

* An alarm with a period of 10 s or 30 s is evaluated every 10 s, any other every minute. Each alarm has its own moment
  for this, drawn from the seed, and its periods end at that moment.
* It goes to ALARM when all of its evaluation periods breach. It looks at two more periods than that (the guide's
  example; the true number is not documented). When enough of them hold data, the newest ones decide; otherwise the
  missing ones are treated as the alarm says.
* ``FILL(metric, value)`` gives every period without data that value, so no period is missing.
* A composite alarm is evaluated when one of its alarms has changed.
* A change of state is an event on the default bus, and a message to the region's topic when the alarm notifies and
  goes to ALARM.

Limits: a metric counts from the moment it is put, whereas CloudWatch takes a moment to show it; "M out of N" alarms are
not modelled, nor the early alarm for old breaching data among missing ones; a composite alarm is evaluated at once. An
alarm is evaluated for the first time when one whole period has passed.
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from moto.cloudwatch.models import MetricDatum, cloudwatch_backends

from drills.aws import composite_rules
from drills.aws.happenings import Happening, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drills.aws.events import EventBus
    from drills.aws.happenings import Observe
    from drills.aws.timetable import Timetable
    from drills.world.clock import Clock
    from orchestration.specification.model import CompositeAlarm, Metric, MetricAlarm, Region

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Treatment = Literal["breaching", "notBreaching", "ignore", "missing"]

HIGH_RESOLUTION_INTERVAL_SECONDS = 10
STANDARD_INTERVAL_SECONDS = 60
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
        self._composites: dict[str, list[tuple[CompositeAlarm, composite_rules.CompositeRule]]] = {}
        # From when on, and by how much at most, metrics are seen late (virtual seconds).
        self._late_from, self._late_seconds = 0.0, 0.0
        # One change at a time, so that a composite alarm sees its alarms in the order in which they changed.
        self._lock = threading.RLock()

    def create(self, region: Region, cloudwatch: Any, topic_arn: str) -> None:
        """Puts a region's alarms into moto; ``cloudwatch`` is a boto3 client of the region."""
        for alarm in region.alarms:
            cloudwatch.put_metric_alarm(**_request(alarm, topic_arn))
            self._stored(region.name, alarm.name).state_value = "INSUFFICIENT_DATA"  # as a new alarm of CloudWatch's is
        parsed = [(alarm, composite_rules.parse(alarm.rule)) for alarm in region.composites]
        self._composites[region.name] = parsed
        for composite, _ in parsed:
            # moto's server has no PutCompositeAlarm, but its backend has.
            cloudwatch_backends[self._account][region.name].put_metric_alarm(
                name=composite.name, namespace="", metric_name="", comparison_operator="", evaluation_periods=0,
                period=0, threshold=0, statistic="", description=composite.description, dimensions=[],
                alarm_actions=[], rule=composite.rule,
            )  # fmt: skip
            self._stored(region.name, composite.name).state_value = "INSUFFICIENT_DATA"

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
        state = judge(breaching, alarm.evaluation_periods, alarm.missing_data, self.state(region, alarm.name))
        recent = [point for point in points if point is not None][: alarm.evaluation_periods]
        reason, data = _reason(alarm, recent, state, due)
        with self._lock:
            if self._change(region, alarm, state, reason, data, _configuration(alarm)):
                self._evaluate_composites(region, alarm.name)

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
        return [float(statistic(values)) if values else alarm.fill for values in periods]

    def _evaluate_composites(self, region: str, changed: str) -> None:
        for composite, rule in self._composites[region]:
            if changed in rule.alarms:
                state: State = "ALARM" if rule.holds(lambda name: self.state(region, name)) else "OK"
                arn, moment = self._stored(region, changed).alarm_arn, self._clock.now()
                child = {"value": self.state(region, changed), "timestamp": _timestamp(moment)}
                reason = f"{arn} transitioned to {child['value']} at {_weekday(moment)}"
                data = {"triggeringAlarms": [{"arn": arn, "state": child}]}
                configuration = {"description": composite.description, "alarmRule": composite.rule}
                self._change(region, composite, state, reason, data, configuration)

    def _change(
        self,
        region: str,
        alarm: MetricAlarm | CompositeAlarm,
        state: State,
        reason: str,
        data: dict[str, Any],
        configuration: dict[str, Any],
    ) -> bool:
        """Gives an alarm a state; if it differs from the one before, tells everyone and returns True."""
        stored = self._stored(region, alarm.name)
        previous = _state_of(stored)
        if previous["value"] == state:
            return False
        now = self._clock.now()
        stored.update_state(reason, json.dumps(data), state)
        stored.state_updated_timestamp = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)
        told = {"key": alarm.key, "state": state, "previous": previous["value"], "reason": reason}
        self._observe(Happening(Kind.ALARM_CHANGED, region, alarm.name, told))
        detail = {
            "alarmName": alarm.name,
            "state": _state_of(stored),
            "previousState": previous,
            "configuration": configuration,
        }
        self._bus.put(_event(self._account, region, stored.alarm_arn, detail, now))
        if state == "ALARM" and alarm.notifies:
            self._publish(region, f'ALARM: "{alarm.name}" in {region}', f"{alarm.description}\n{reason}")
        return True

    def _stored(self, region: str, name: str) -> Any:
        return cloudwatch_backends[self._account][region].alarms[name]


def judge(breaching: Sequence[bool | None], periods: int, treatment: Treatment, current: State) -> State:
    """Returns the state of an alarm that needs every one of its ``periods`` to breach.

    ``breaching`` tells of each period looked at, newest first, whether it breaches; None where data is missing.
    The rules are those of the table in the guide on missing data.
    """
    known = [value for value in breaching if value is not None]
    if len(known) >= periods:
        return "ALARM" if all(known[:periods]) else "OK"
    if not known:
        return {"breaching": "ALARM", "notBreaching": "OK", "missing": "INSUFFICIENT_DATA", "ignore": current}[
            treatment
        ]  # type: ignore[return-value]
    if not all(known) or treatment == "notBreaching":
        return "OK"
    return current if treatment == "ignore" else "ALARM"


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
    request: dict[str, Any] = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "ComparisonOperator": alarm.comparison,
        "Threshold": alarm.threshold,
        "EvaluationPeriods": alarm.evaluation_periods,
        "TreatMissingData": alarm.missing_data,
        "AlarmActions": [topic_arn] if alarm.notifies else [],
    }
    if alarm.fill is None:
        return request | {
            "Namespace": metric.namespace,
            "MetricName": metric.name,
            "Statistic": metric.statistic,
            "Period": metric.period_seconds,
            "Dimensions": dimensions,
        }
    named = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
    stat = {"Metric": named, "Period": metric.period_seconds, "Stat": metric.statistic}
    return request | {
        "Metrics": [
            {"Id": "filled", "Expression": f"FILL(metric, {alarm.fill:g})", "ReturnData": True},
            {"Id": "metric", "MetricStat": stat, "ReturnData": False},
        ]
    }


def _configuration(alarm: MetricAlarm) -> dict[str, Any]:
    """Returns the part ``configuration`` of an alarm's event."""
    metric = alarm.metric
    named = {"namespace": metric.namespace, "name": metric.name, "dimensions": metric.dimensions}
    stat = {"metric": named, "period": metric.period_seconds, "stat": metric.statistic}
    metrics: list[dict[str, Any]] = [{"id": "metric", "metricStat": stat, "returnData": alarm.fill is None}]
    if alarm.fill is not None:
        metrics.insert(0, {"id": "filled", "expression": f"FILL(metric, {alarm.fill:g})", "returnData": True})
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


def _weekday(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%A %d %B, %Y %H:%M:%S UTC")
