"""The prober's function: what it answers of a database, as ``handlers/standing/prober.py`` does.

That file speaks PostgreSQL's protocol over sockets, and has tests of its own with real servers; this is its behaviour
as its callers see it, with the meanings of `handlers.core.answers`.

Limits: there always is a kept session, and none is lost to a look that gives up; its warm-up takes no time.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from handlers.core.answers import meaning
from handlers.core.commands import WARM_UP
from handlers.core.health import Probe
from simulation.databases import SESSIONS_END_S, Database
from simulation.salvage import transaction_id

if TYPE_CHECKING:
    from simulation.world import World

ROUND_TRIPS = 1.0  # a kept session needs one
KEPT_SHARE = 0.8
SESSIONS_END_WITHIN_S = 1.5
SAYS_NOTHING = asdict(Probe("", None, None, None, 0.0))


class ProberFailed(Exception):
    """The function ends in an error of its own."""


def probe(world: World, region: str, event: dict[str, Any]) -> dict[str, Any]:
    """Answers as the prober of ``region``."""
    if event == WARM_UP:
        return {}
    slow = world.faults.acting("prober slow", region)
    if slow is not None:
        world.time.sleep(slow.how["takes"] * world.chance.uniform(0.7, 1.3))
    if world.faults.acting("prober away", region):
        raise ProberFailed("the prober has no memory left")
    target, timeout_s = event["target"], event["timeout_s"]
    other = world.databases.other(region).region
    own = dict.fromkeys(("own", "own_instances", "own_reader"), region)
    leads_to = (own | {"peer": other}).get(target) or world.dns.leads_to
    began = world.time.now
    error = _reach(world, region, world.databases.of[leads_to], target, timeout_s)
    database = world.databases.of[leads_to]
    if error is not None:
        said = meaning(error)
        refused = said.why if said.known == "up" else None
        elapsed_ms = (world.time.now - began) * 1000
        return _probe(target=target, region=leads_to, error=error, elapsed_ms=elapsed_ms, refused=refused)
    return _answer(world, database, event, began)


def _reach(world: World, here: str, database: Database, target: str, timeout_s: float) -> str | None:
    """Waits for a session and its first answer; returns why there is none, as `handlers.core.answers` names it."""
    there, faults = database.region, world.faults
    way = world.network.reaches(here, there)
    if way == "open" and faults.acting("database hangs", there):
        way = "hangs"
    if way == "hangs":
        world.time.sleep(timeout_s)
        return "deadline"
    world.time.sleep(world.network.round_trip(here, there) * ROUND_TRIPS)
    if way == "refuses" or not database.runs:
        return "refused"
    if target in ("peer", "writer") and database.role == "reader":
        return "no name"  # a secondary's cluster endpoint is inactive, and only its own region asks the instances
    slow = faults.acting("database slow", there)
    if slow is not None:
        takes = slow.how["takes"] * world.chance.uniform(0.7, 1.3)
        if takes > timeout_s * KEPT_SHARE:
            world.time.sleep(timeout_s)
            return "deadline"
        world.time.sleep(takes)
    if faults.acting("database full", there):
        return "53100"
    refuses = faults.acting("refuses the monitor", there)
    if refuses is not None and not refuses.how.get("kept"):
        return "28000"
    return None


def _answer(world: World, database: Database, event: dict[str, Any], began: float) -> dict[str, Any]:
    """Does the work on a writer, and says what it is then."""
    role, error, open_sessions = database.role, None, len(database.application_sessions())
    if role == "writer" and not database.drained:
        own = database.own
        if event.get("heartbeat"):
            lease = max((one for one in (own.lease, event.get("lease")) if one is not None), default=None)
            database.write(replace(own, seq=own.seq + 1, beat_at=world.time.now, lease=lease))
        if event.get("proof"):
            world.proofs.append((database.region, event["proof"]["run"]))
        if event.get("fence"):
            database.fence()
            world.time.sleep(SESSIONS_END_S)
            if database.is_fenced and database.end_sessions("fenced", by_force=False):
                open_sessions = 0
            else:
                if database.is_fenced:
                    world.time.sleep(SESSIONS_END_WITHIN_S)
                error, open_sessions = "sessions of applications do not end", -1
                if not database.is_fenced:
                    error = "the fence was lifted meanwhile"
        if lift := event.get("lift_fence"):
            database.lift(lift["number"], lift["until"])
    data = world.databases.data_of(database)
    until = world.databases.replicated_until() if role == "reader" else world.time.now
    fenced = database.is_fenced if role == "writer" else data.fenced
    refuses = world.faults.acting("refuses the monitor", database.region)
    return _probe(
        target=event["target"],
        role="writer" if role == "writer" and not database.drained else "reader",
        region=database.region,
        error=error,
        elapsed_ms=(world.time.now - began) * 1000,
        heartbeat={"seq": data.seq, "at": data.beat_at},
        noted_lease=data.lease,
        fenced=fenced,
        fence_number=data.number,
        open_sessions=None if open_sessions < 0 else open_sessions,
        oldest_xid=transaction_id(until, world.began),
        replicated_until=until if event.get("lag") and role == "reader" else None,
        refused=meaning("28000").why if refuses is not None else None,
    )


def _probe(**known: Any) -> dict[str, Any]:
    """Returns a `Probe` as its caller gets it."""
    found = SAYS_NOTHING | known
    assert len(found) == len(SAYS_NOTHING), known
    return found
