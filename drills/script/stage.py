"""The stage of every play in the lab: everything is started, and it is known when all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drills.lab import CLIENTS, PINNED_CLIENTS
from drills.verdict.events import Kind
from drills.world.network import one_way_delay_seconds
from orchestration.specification.monitoring import DETECTION_PERIOD_SECONDS

if TYPE_CHECKING:
    from drills.lab import Lab
    from drills.show.narrator import Narrator
    from drills.show.timeline import Timeline
    from drills.verdict.seen import Seen
    from drills.world.postgres import Binaries

# How long to wait until everything is well before giving up (virtual seconds): alarms need a few periods of 10 s to
# have seen enough.
STEADY_LIMIT_SECONDS = 120.0


def build(lab: Lab, binaries: Binaries, narrator: Narrator, timeline: Timeline, clients: str) -> None:
    """Starts everything of a lab, one part after the other, and says so; ``clients`` is one of `CLIENTS`."""
    say = timeline.event
    say(Kind.LAB, f"PostgreSQL {binaries.version} ({binaries.source}), speed {lab.clock.speed:g}")
    with timeline.waiting("two PostgreSQL servers"):
        lab.start_databases()
    delay_ms = one_way_delay_seconds(lab.writer, lab.standby) * 1000
    say(Kind.LAB, f"writer in {lab.writer}, standby in {lab.standby}, {delay_ms:.0f} ms apart")
    with timeline.waiting("the Lambda zips and the AWS APIs"):
        lab.start_cloud()
    say(Kind.LAB, "AWS APIs, DNS, alarms, monitors and the workflow are up")
    narrator.wait(
        f"the writer name to lead to {lab.writer}",
        lambda _: lab.writer_name_leads_to() == lab.writer,
        STEADY_LIMIT_SECONDS,
    )
    lab.start_clients()
    timeline.watch(lab.load)
    ways = {
        "name": f"through {lab.specification.zone.writer_name}",
        "hosts": "to whichever region's cluster takes it",
    }
    here = " and ".join(f"{many} clients in each region write {ways[kind]}" for kind, many in CLIENTS[clients].items())
    say(Kind.CLIENT, f"{here}, and {PINNED_CLIENTS} in {lab.writer} straight to its cluster")


def unsteady(lab: Lab, seen: Seen) -> list[str]:
    """Says what is not yet as it is in a deployment that has been at work for a while."""
    watched = [
        alarm.name
        for region in lab.specification.regions.values()
        for alarm in region.alarms
        if alarm.metric.period_seconds == DETECTION_PERIOD_SECONDS
    ]
    load, lease = lab.load(), seen.lease[-1] if seen.lease else None
    lacking = [f"{name} is not OK" for name in watched if seen.alarms.get(name) != "OK"]
    if not (lease and lease.until and lease.until > lab.clock.now() and not lease.word):
        lacking.append("the writer has no good lease")
    if not load.clients or load.failing_clients:
        lacking.append(f"{load.failing_clients} of {load.clients} clients do not write")
    return lacking
