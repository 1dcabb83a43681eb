"""EventBridge and CloudWatch: the monitors' schedule, the events and the alarm that start a workflow, and ends of runs.

The rules are the specification's. The schedule starts a run of each monitor once a minute; a start may be seconds late
(EventBridge guide). An event arrives within about a second, may be delivered twice, and is given up after 60 s. The
alarm on ``WriterDown`` is evaluated every 10 s over its periods, M of N (CloudWatch guide, "Evaluating an alarm").

Limits: only this alarm is evaluated; the others tell people, which the checks do not rely on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from simulation.network import Reply
from simulation.stand_ins import Client

if TYPE_CHECKING:
    from orchestration.specification.model import Rule
    from simulation.world import World

MINUTE_S = 60.0
EVALUATED_EVERY_S = 10.0
DELIVERED_S = (0.1, 1.0)
GIVEN_UP_AFTER_S = 60.0
USED_ACU = 6.0  # by every writer; `simulation.clusters` begins with less


class Events:
    """The bus, the schedule and the alarm of both regions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._down_at: dict[str, list[float]] = {region: [] for region in world.regions}
        self._in_alarm = dict.fromkeys(world.regions, False)
        self._evaluates = dict.fromkeys(world.regions, False)
        self._delivered = self._put = 0

    # --- the schedule

    def begin(self, lasts: float) -> None:
        """Has the monitors started, from one that has begun before the history on."""
        for region in self._world.regions:
            offset = self._world.chance.uniform(0, MINUTE_S)
            self._start_monitor(region)
            due = offset
            while due < lasts:
                self._world.time.after(due, lambda region=region: self._monitor_is_due(region))  # type: ignore[misc]
                due += MINUTE_S

    def _monitor_is_due(self, region: str) -> None:
        faults, chance = self._world.faults, self._world.chance
        if faults.acting("monitor missing", region):
            return
        late = faults.acting("monitor late", region)
        wait = chance.uniform(0, 3) + (late.how["takes"] if late else 0.0)
        self._world.time.after(wait, lambda: self._start_monitor(region))

    def _start_monitor(self, region: str) -> None:
        world = self._world
        world.time.spawn(lambda: world.functions.invoke_quietly(region, "monitor", {}), world.outside)

    # --- the bus

    def serve_bus(self, here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        """Answers ``put_events``: the monitor's event starts a workflow, what programs are told may start functions."""
        del here, operation
        region, moment = self._world.product.specification.regions[client.region], _as_text(self._world.time.now)
        for entry in request["Entries"]:
            self._put += 1
            event = {
                "id": f"event-{self._put}",
                "source": entry["Source"],
                "detail-type": entry["DetailType"],
                "time": moment,
                "detail": json.loads(entry["Detail"]),
            }
            if _matches((rule := self._rule(client.region, "event")).event_pattern, event):
                self._deliver(client.region, rule, event)
            for function_rule in region.function_rules:
                if _matches(function_rule.event_pattern, event):
                    self._invoke(client.region, function_rule.function.step, event)
        return Reply({"FailedEntryCount": 0}, 0.02)

    def _rule(self, region: str, key: str) -> Rule:
        return next(rule for rule in self._world.product.specification.regions[region].rules if rule.key == key)

    def _deliver(self, region: str, rule: Rule, event: dict[str, Any]) -> None:
        """Has a rule start its workflow with the event, as the bus delivers it."""
        text = rule.input_template
        for name, path in rule.input_paths.items():
            found: Any = event
            for part in path.split(".")[1:]:
                found = found[part]
            text = text.replace(f"<{name}>", str(found))
        asked = json.loads(text)
        for wait in self._waits(region):
            self._delivered += 1
            name = f"{rule.key}-{self._delivered}"
            self._world.time.after(wait, lambda name=name: self._start(region, name, asked))  # type: ignore[misc]

    def _waits(self, region: str) -> list[float]:
        """Returns when an event arrives: once as a rule, twice at times, or never."""
        faults, chance = self._world.faults, self._world.chance
        if faults.acting("bus loses", region):
            return []
        late = faults.acting("bus late", region)
        wait = chance.uniform(*DELIVERED_S) + (late.how["takes"] if late else 0.0)
        again = [wait + chance.uniform(0, 5)] if faults.acting("bus repeats", region) else []
        return [one for one in (wait, *again) if one <= GIVEN_UP_AFTER_S]

    def _start(self, region: str, name: str, asked: Any) -> None:
        if not self._world.functions.is_dead(region):
            self._world.workflows.start(region, name, asked)

    # --- the alarm

    def serve_metrics(self, here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        """Answers ``put_metric_data``, and what an old writer used when it is asked for."""
        del here
        if operation == "get_metric_statistics":
            return Reply({"Datapoints": [{"Maximum": USED_ACU}]}, 0.1)
        for datum in request["MetricData"]:
            if datum["MetricName"] == "WriterDown" and datum["Value"] > 0:
                self._writer_is_down(client.region)
        return Reply({}, 0.02)

    def _writer_is_down(self, region: str) -> None:
        self._down_at[region].append(self._world.time.now)
        if not self._evaluates[region]:
            self._evaluates[region] = True
            first = self._world.chance.uniform(0, EVALUATED_EVERY_S)
            self._world.time.after(first, lambda: self._evaluate(region))

    def _evaluate(self, region: str) -> None:
        world, now = self._world, self._world.time.now
        alarm = world.product.specification.regions[region].alarm("writer-down")
        period, periods = alarm.metric.period_seconds, alarm.evaluation_periods
        breaching = {int((now - at) // period) for at in self._down_at[region] if now - at < period * periods}
        rings = len(breaching) >= (alarm.datapoints or periods)
        if rings and not self._in_alarm[region]:
            event = {"time": _as_text(now), "detail": {"alarmName": alarm.name}}
            self._deliver(region, self._rule(region, "trigger"), event)
        self._in_alarm[region] = rings and not world.faults.acting("alarm flaps", region)
        if breaching:
            world.time.after(EVALUATED_EVERY_S, lambda: self._evaluate(region))
        else:
            self._evaluates[region], self._down_at[region] = False, []

    # --- ends of runs

    def run_ended(self, region: str, detail: dict[str, Any]) -> None:
        """Delivers Step Functions' own event of a bad end."""
        function = self._world.product.specification.regions[region].end_rule.function
        self._invoke(region, function.step, {"detail": detail})

    def _invoke(self, region: str, step: str, event: dict[str, Any]) -> None:
        """Has a rule invoke its function with the event, as the bus delivers it; who is throttled is not called."""
        world = self._world

        def call() -> None:
            world.time.spawn(lambda: world.functions.invoke_quietly(region, step, event), world.outside)

        for wait in self._waits(region):
            world.time.after(wait, call)


def _matches(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Returns whether an event fits a rule's pattern, of which the specification writes lists of values only."""
    return all(
        _matches(wanted, event.get(name, {})) if isinstance(wanted, Mapping) else event.get(name) in wanted
        for name, wanted in pattern.items()
    )


def _as_text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
