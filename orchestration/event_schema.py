"""docs/events.md: the events for programs, from their classes. ``python -m orchestration.event_schema`` prints it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from handlers.core.events import EVENTS, SOURCE, VERSION, Event

ABOUT = f"""\
# Events for programs

What a run does is put on the **default EventBridge bus of its region**: the one that becomes the writer, or is it. A
rule of yours on that bus starts whatever has to follow: scale the application, open a ticket, drain a queue. Put the
same rule into both regions.

* `source` is `{SOURCE}`, `detail-type` is the name of the event; no event of these starts a failover.
* Everything in `detail` is a field of the tables below. A field is never taken away or given another meaning while
  `version` is {VERSION}; new ones may come.
* They are **best effort**: put once, after people have been told, by functions that nothing waits for. A bus that does
  not take an event delays nothing and fails no run, so that an event may be missing; a step that is repeated puts one
  again. Tell them apart by `run`. The control record, the run's record and the alarms do not depend on them.
* Their order is not kept. `epoch` says which of two events is the newer one.

```json
"""

HOOKS = """\
## Hooks
What has to follow may be run and watched by the deployment itself, as `[[hooks]]` in the settings:
```toml
[[hooks]]
name = "scale-out"
when = "WriterMoved"             # any of the events below
function = "scale-application"   # or state_machine = "...", a standard one; of this name in both regions
timeout_seconds = 120            # 60; 600 at most
required = true                  # false

[[hooks]]
name = "drain-queues"
when = "WriterMoved"
document = "drain-queues"        # an Automation runbook of yours, an SSM document
document_role = "drain-queues"   # the role that it runs as
parameters = ["run", "lost_ms"]  # fields of the event that it is given
```
The function `run-hooks`, which exists only where there are hooks, gives each the event as EventBridge has it and waits
for its end, all of an event's at once. It runs **beside the workflow**, which knows nothing of it: no hook, whether it
fails or hangs, delays a run or changes how it ends. What has failed, or has not ended within its time, is logged, and
people are told, with the run and the command that shows it; it is noted beside the run's record, and `failoverctl show`
and `failoverctl report` say it. Where the hook is `required`, the alarm `run-hooks-errors` rings as well. What hangs is
not stopped.

EventBridge may deliver an event twice, or not at all: a state machine is started once an event, a function has to bear
that, and a document is started with a token of the event. Where Systems Manager refuses a token that it has seen, the
second delivery is told of as a failed hook: the document was started before, and its end is not seen from there.

A document declares a parameter of type `String` for each of its `parameters`, and `AutomationAssumeRole`, which it
names as its `assumeRole`: Systems Manager refuses to start one with a parameter that it does not know. What is no text
comes as JSON, and no value has more than 512 characters. The function may pass `document_role` to Systems Manager, and
nothing else.

## Is the application well?
```toml
application_alarms = ["checkout-errors", "checkout-latency"]   # CloudWatch alarms of these names in both regions
```
Two minutes after `WriterMoved`, when alarms of the outage itself are over, the function `watch-application` looks at
them, and then every 15 s, until 13 min after it. While one rings, the run has **recovered, and its application is
unhealthy**: people are told once when that begins and once when it is over, and `failoverctl report` says so. An alarm
that has no data, is not there or cannot be seen is not called well: the application is **not known**, and people are
told so once, at the end, where it has lasted until then. One that rang and then has no data has not recovered. The
watch ends early when the writer has left the region again. The run itself has ended long before.

## Capacity
With `capacity_follows = true` under `[database]`, the function `follow-capacity` raises the least capacity of the new
writer, after a failover, to the most that the old one used in the hour before; where the old region does not say, to
`min_capacity`. It asks RDS again while that is busy with the promotion, and people are told of the result. It never
runs before the detach, nor while a run has the lock: RDS refuses to move a cluster that it is changing. Nothing
lowers the capacity again, and Terraform leaves both clusters' least capacity alone.
"""

ADDED = {
    "version": (int, f"{VERSION}"),
    "global_cluster": (str, "identifier of the global database, which tells the deployments of an account apart"),
}
EXAMPLE: dict[str, Any] = {
    "source": [SOURCE],
    "detail-type": ["WriterMoved"],
    "detail": {"global_cluster": ["payments-global-prod"]},
}


def fields(event: type[Event]) -> Iterator[tuple[str, str, str]]:
    """Yields each field of an event: its name, its type in JSON, what it means."""
    for name, (kind, words) in ADDED.items():
        yield name, _json(kind), words
    for name, hint in get_type_hints(event, include_extras=True).items():
        assert get_origin(hint) is Annotated, f"{event.__name__}.{name} does not say what it means"
        kind, words = get_args(hint)
        yield name, _json(kind), words


def page() -> str:
    """Returns the page in Markdown."""
    parts = [ABOUT + json.dumps(EXAMPLE) + "\n```\n", HOOKS]
    for event in EVENTS:
        parts += [f"## {event.__name__}", f"{event.__doc__}\n", "| field | type | meaning |", "|---|---|---|"]
        parts += [f"| `{name}` | {kind} | {words} |" for name, kind, words in fields(event)]
        parts.append("")
    return "\n".join(parts)


def _json(kind: Any) -> str:
    names = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    return " or ".join(names[one] for one in get_args(kind) or (kind,))


if __name__ == "__main__":
    print(page(), end="")
