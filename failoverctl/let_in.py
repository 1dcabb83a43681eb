"""``failoverctl let-in``: opens a healthy writer by hand, when its guardian does not.

It does what one tick of a guardian does, by the same rows and functions: it looks which fence stands, renews the lease,
which the record refuses where another region is the writer or a run stops or moves it, and lifts that fence for as long
as the lease lets it. So it opens nothing that a guardian might not open.
"""

from __future__ import annotations

from typing import Annotated

import typer

from failoverctl.command import Session
from failoverctl.deployment import Deployment, Reading, changing
from failoverctl.errors import CannotTell, Refused
from failoverctl.start import Yes
from handlers.core.fence import FenceState, Lift
from handlers.core.guardian import lift_until
from handlers.core.health import Probe
from handlers.core.heartbeat import Beat
from handlers.core.lease import LEASE_S
from handlers.gateways import fence, prober
from handlers.gateways.fence import FenceFunction
from handlers.gateways.prober import OWN_PROBE_TIMEOUT_S, Prober

Region = Annotated[str, typer.Argument(metavar="REGION", help="The writer's region, by name: no other may be opened.")]


def let_in(session: Session, region: Region, *, yes: Yes = False) -> int | None:
    """Let applications into a healthy writer whose guardian does not do it; refused where another is the writer."""
    deployment = session.deployment
    reading = deployment.read()
    _refuse_where_nobody_may_write(reading, region)
    site = _Site(deployment, region)
    before = site.closing.look()
    reached = site.probe()
    _refuse_the_unwell(region, reached)
    if not reached.fenced and before.by_group is False:
        session.say(f"{region} is open: applications are kept out neither by SQL nor by its security group.")
        session.tell({"region": region, "fence": before})
        return None
    session.say(
        f"{region} is the writer of epoch {reading.record.epoch} and healthy. It is {_in_words(reached, before)}.",
        "The lease is renewed once in its guardian's place, and the fence is lifted. Where no guardian runs, nobody "
        f"fences {region} when it loses the record: see that {deployment.names.function('monitor', region)} runs.",
    )
    session.confirm(f"Let applications into {region}?", yes=yes)
    after = _open(deployment, site, region, before)
    session.say(
        f"Renewed the lease of {region} and lifted its fence, by {deployment.identity.arn}: "
        f"SQL {_state(after.by_sql)}, security group {_state(after.by_group)}."
    )
    session.tell({"region": region, "fence": after})
    if after.by_sql is not False or after.by_group is not False:
        raise CannotTell(
            f"{region} is not seen open{': ' + after.error if after.error else ''}. A lift that comes too late is "
            "refused by the database: try again"
        )
    return None


class _Site:
    """The functions of a region that look at its database, and keep applications out or let them in."""

    def __init__(self, deployment: Deployment, region: str) -> None:
        names = deployment.names
        self._prober = Prober(
            deployment.client("lambda", region, read_timeout_s=prober.INVOCATION_TIMEOUT_S),
            names.function("prober", region),
        )
        self.closing = FenceFunction(
            deployment.client("lambda", region, read_timeout_s=fence.INVOCATION_TIMEOUT_S),
            names.function("fence", region),
        )

    def probe(self) -> Probe:
        """Returns what the region's database answers."""
        return self._prober.probe("own", OWN_PROBE_TIMEOUT_S)


def _open(deployment: Deployment, site: _Site, region: str, seen: FenceState) -> FenceState:
    """Does what a guardian's tick does, and returns the fence as it stands then."""
    why = f"{deployment.identity.short} lets applications in"
    with changing(deployment, f"letting applications into {region}"):
        reached = site.probe()
        if not reached.fenced and seen.by_group:
            site.closing.fence(why, group=False)  # by SQL first: only such a fence says whether a lift still counts
            reached = site.probe()
        beat, number = _refuse_the_unwell(region, reached), reached.fence_number
        reading = deployment.read()  # then the clock: a lease counts from after the look at the fence
        expires_at = reading.now + LEASE_S
        if not deployment.control(reading.through).renew(region, reading.record.epoch, expires_at, beat):
            _refuse_where_nobody_may_write(deployment.read(), region)
            raise Refused(f"the guardian of {region} renews the lease itself, and opens it: `failoverctl status`")
        if not reached.fenced or number is None:
            return site.closing.look()
        return site.closing.lift(why, Lift(number, lift_until(expires_at)))


def _refuse_where_nobody_may_write(reading: Reading, region: str) -> None:
    record = reading.record
    if record.writer_region != region:
        raise Refused(
            f"{record.writer_region} is the writer (epoch {record.epoch}): applications let into {region} would "
            "write to a second one"
        )
    lock = record.moving or record.stopping
    if lock is not None:
        raise Refused(
            f"run {lock.run} ({lock.mode}, {lock.phase}) moves the writer to {lock.target_region}: follow it "
            f"(`failoverctl watch {lock.run}`); where it has ended, `failoverctl unlock {lock.run}`"
        )


def _refuse_the_unwell(region: str, reached: Probe) -> Beat:
    """Returns the newest heartbeat of a healthy writer; raises `Refused` where it is none."""
    if reached.role != "writer":
        raise Refused(
            f"the database of {region} does not answer as a writer ({reached.error or reached.role}): "
            "nobody could write there if it were open"
        )
    if reached.heartbeat is None:
        raise Refused(f"the database of {region} keeps no heartbeats: prepare it with `failoverctl bootstrap`")
    return reached.heartbeat


def _in_words(reached: Probe, seen: FenceState) -> str:
    return f"closed by SQL: {_yes(reached.fenced)}; by its security group: {_yes(seen.by_group)}"


def _yes(known: bool | None) -> str:
    return "not known" if known is None else "yes" if known else "no"


def _state(closed: bool | None) -> str:
    return "not known" if closed is None else "closed" if closed else "open"
