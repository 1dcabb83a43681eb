"""EventBridge: events of the default bus to Step Functions, and schedules to Lambda.

Models (EventBridge user guide, "Amazon EventBridge event patterns", "Amazon EventBridge input transformation",
"Schedule types"): rules match by moto's own patterns; the input transformer fills the template from the event; a target
that is a state machine is started with that input under a name that EventBridge invents, two UUIDs joined by an
underscore. Delivery is at least once, so an event may arrive twice; the drill chooses how often. Events that functions
put (API reference, "PutEvents") go the same way as those of AWS services, whose sources alone begin with ``aws.``. A
schedule invokes its function without waiting; its first invocation comes when it is created.

Limits: targets are state machines and functions of the same account and region only; a delivery that fails is not tried
again; an event is delivered at once, whereas EventBridge takes up to about a second; schedules are ``rate(1 minute)``
and the like, no cron expressions.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

from moto.events.models import EventsBackend, events_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from drills.aws.happenings import Happening, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from moto.events.utils import EventMessageType

    from drills.aws.happenings import Observe
    from drills.world.clock import Clock
    from orchestration.specification.model import FunctionRule, Rule

UNIT_SECONDS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}


class EventBus:
    """The default buses of all regions."""

    def __init__(
        self, account: str, clock: Clock, is_down: Callable[[str], bool], observe: Observe, deliveries: int = 1
    ) -> None:
        """Delivers nothing yet; with ``deliveries`` of 2 and more, each event reaches each target that many times."""
        self._account = account
        self._clock = clock
        self._is_down = is_down
        self._observe = observe
        self._deliveries = deliveries
        self._loses: Callable[[dict[str, Any]], bool] = lambda _: False
        self._invoke: Callable[[str, str, dict[str, Any]], None] = lambda *_: None

    def invoke_by(self, invoke: Callable[[str, str, dict[str, Any]], None]) -> None:
        """Has functions that are targets invoked by ``invoke``: region, function's name, event; it does not wait."""
        self._invoke = invoke

    def lose(self, which: Callable[[dict[str, Any]], bool]) -> None:
        """Loses from now on every event of which that is true."""
        self._loses = which

    def install(self, stack: ExitStack) -> None:
        """Has what functions put delivered, until ``stack`` is closed; moto has no targets that are state machines."""

        def put_events(backend: EventsBackend, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [self._put_entry(backend.region_name, entry) for entry in events]

        stack.enter_context(mock.patch.object(EventsBackend, "put_events", put_events))

    def _put_entry(self, region: str, entry: dict[str, Any]) -> dict[str, Any]:
        """Delivers one entry of PutEvents; returns the answer to it."""
        if entry["Source"].startswith("aws."):
            return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": self._account,
            "time": datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": [],
            "detail": json.loads(entry["Detail"]),
        }
        self._observe(Happening(Kind.EVENT_PUT, region, entry["Source"], {"event": event}))
        self.put(event)
        return {"EventId": event["id"]}

    def put(self, event: dict[str, Any]) -> None:
        """Delivers an event to every rule of its region that matches."""
        region = event["region"]
        if self._is_down(region) or self._loses(event):
            return
        for rule in list(events_backends[self._account][region].event_buses["default"].rules.values()):
            if rule.state == "ENABLED" and rule.event_pattern.matches_event(cast("EventMessageType", event)):
                for target in rule.targets:
                    for _ in range(self._deliveries):
                        self._deliver(rule.name, target, event)

    def _deliver(self, rule: str, target: dict[str, Any], event: dict[str, Any]) -> None:
        if ":lambda:" in target["Arn"]:
            self._invoke(event["region"], target["Arn"].rsplit(":", 1)[1], event)
        else:
            self._start(rule, target, event)

    def _start(self, rule: str, target: dict[str, Any], event: dict[str, Any]) -> None:
        region = event["region"]
        transformer = target["InputTransformer"]
        text = transform(event, transformer["InputPathsMap"], transformer["InputTemplate"])
        execution = f"{event['id']}_{uuid.uuid4()}"
        self._observe(Happening(Kind.RULE_DELIVERED, region, rule, {"execution": execution, "input": text}))
        machines = stepfunctions_parser_backends[self._account][region]
        machines.start_execution(target["Arn"], execution, text)


def create_rule(events: Any, rule: Rule, state_machine_arn: str, role_arn: str) -> None:
    """Creates a rule and its target; ``events`` is a boto3 client of the rule's region."""
    events.put_rule(Name=rule.name, EventPattern=json.dumps(rule.event_pattern), Description=rule.description)
    transformer = {"InputPathsMap": rule.input_paths, "InputTemplate": rule.input_template}
    target = {"Id": "workflow", "Arn": state_machine_arn, "RoleArn": role_arn, "InputTransformer": transformer}
    events.put_targets(Rule=rule.name, Targets=[target])


def create_function_rule(events: Any, rule: FunctionRule, function_arn: str) -> None:
    """Does the same for a rule whose target is a function, which gets the event as it is."""
    events.put_rule(Name=rule.name, EventPattern=json.dumps(rule.event_pattern), Description=rule.description)
    events.put_targets(Rule=rule.name, Targets=[{"Id": rule.function.step, "Arn": function_arn}])


def transform(event: dict[str, Any], paths: dict[str, str], template: str) -> str:
    """Returns the template with each ``<name>`` replaced by what the event holds at the path of that name.

    A text is put in without quotes, as the guide has it for placeholders inside a quoted text, anything else as JSON; a
    path that leads nowhere gives an empty text.

    Raises
    ------
    ValueError
        When the result is not JSON: EventBridge would not deliver it.
    """

    def fill(placeholder: re.Match[str]) -> str:
        path = paths.get(placeholder[1])
        if path is None:
            return placeholder[0]
        value: Any = event
        for key in path.removeprefix("$.").split("."):
            value = value.get(key, "") if isinstance(value, dict) else ""
        return json.dumps(value)[1:-1] if isinstance(value, str) else json.dumps(value)

    text = re.sub(r"<([\w.-]+)>", fill, template)
    try:
        json.loads(text)
    except ValueError as error:
        raise ValueError(f"the input transformer does not produce JSON: {error}: {text}") from None
    return text


def rate_seconds(expression: str) -> float:
    """Returns the interval of a schedule such as ``rate(1 minute)``, in seconds.

    Raises
    ------
    ValueError
        When it is not a rate.
    """
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if not found:
        raise ValueError(f"the schedule {expression!r} is not a rate; the lab knows rate(1 minute) and the like")
    return int(found[1]) * UNIT_SECONDS[found[2]]
