"""P1, one writer: what breaks it, and its limits (docs/guarantees.md)."""

from __future__ import annotations

from collections.abc import Iterator

from simulation.checks.facts import (
    CLOSED_WITHIN_S,
    LONGEST_LEASE_S,
    Course,
    Facts,
    Span,
    changed,
    commits_to_a_failover,
    may_open,
    quiet,
)
from simulation.happened import Asked, Lifted, Promoted, StartedOpen, Written
from simulation.virtual_time import STARTS_AT

# P1: how long after it was the writer of the record, and nobody moved it, a region may be opened: a lease that has
# been renewed then, less what its guardian keeps of it.
LET_IN_WITHIN_S = 10.0
# P1: how long ago a guardian may have seen the fence of which it signs that it stands: two ticks.
SIGNED_WITHIN_S = 4.0
# The limits of P1 and P10 (docs/guarantees.md) are facts: `Guarded`, `Works` and `Fit`. What was so in the last seconds
# may still be at work: the rest of a lease, and a fence.
LIMIT_LASTS_S = 15.0


def two_writers(facts: Facts) -> Iterator[tuple[float, str]]:
    """Applications write in both regions at the same moment."""
    for one in facts.sessions:
        for other in facts.sessions:
            start, end = max(one.start, other.start), min(one.end, other.end)
            if (
                one.value < other.value
                and start < end
                and not _guard_was_gone(facts, _old(facts, one, other), start, end)
            ):
                yield start, f"applications write in {one.value} and in {other.value} for {end - start:.2f} s"
                return


def _old(facts: Facts, one: Span, other: Span) -> str:
    """Returns the region of the two that was promoted less recently; where none was, that of the earlier session."""
    promoted = [move.region for move in facts.of(Promoted) if move.at <= max(one.start, other.start)]
    old = one if one.start < other.start else other
    if promoted:
        old = other if one.value == promoted[-1] else one
    return str(old.value)


def _guard_was_gone(facts: Facts, region: str, start: float, end: float) -> bool:
    """Whether the region was without a guardian, or without any means to end sessions, or has just started open."""
    since = start - LIMIT_LASTS_S
    sql, restart = (facts.works(region, means) for means in ("sql", "restart"))
    if _has_started_open(facts, region, start, end):
        return True
    helpless = not all(sql.within(since, end)) and not all(restart.within(since, end))
    return helpless or not all(facts.guarded(region).within(since, end))


def _has_started_open(facts: Facts, region: str, start: float, end: float) -> bool:
    """Whether the region's server has started open, and its guardian need not have closed it yet."""
    started = [one.at for one in facts.of(StartedOpen) if one.region == region]
    return any(at <= start and end <= facts.closed_after_start(region, at) for at in started)


def moved_under_a_lease(facts: Facts) -> Iterator[tuple[float, str]]:
    """A failover that commits to move while the writer's lease lives; one of a clock that is off is none."""
    for one in facts.of(Written):
        run = commits_to_a_failover(one)
        left = (one.after.get("lease_expires_at") or 0.0) - (STARTS_AT + one.at)
        if run and 0.0 < left <= LONGEST_LEASE_S:
            yield one.at, f"run {run} commits to move a writer whose lease lives for {left:.1f} s more"


def let_in_elsewhere(facts: Facts) -> Iterator[tuple[float, str]]:
    """Applications are let in where the record has not had the writer, open, for a lease; a run may open its target."""
    for one in facts.of(Lifted):
        if one.by != "sql" or any(
            may_open(each, one.region) for each in facts.record.within(one.at - LET_IN_WITHIN_S, one.at)
        ):
            continue
        yield one.at, f"applications are let into {one.region}, which is not the writer, or is stopped or moved away"


def asked_beside_an_open_writer(facts: Facts) -> Iterator[tuple[float, str]]:
    """RDS is asked to promote a standby whose old writer applications write to."""
    for one in facts.of(Asked):
        if not one.accepted:
            continue
        for session in facts.sessions:
            writes = session.value != one.region and session.start <= one.at < session.end
            if writes and not _guard_was_gone(facts, session.value, one.at, one.at):
                yield one.at, f"RDS takes a {one.operation} to {one.region} while applications write in {session.value}"
                break


def stays_open(facts: Facts) -> Iterator[tuple[float, str]]:
    """Applications go on writing where the record has no open writer, though nothing fails and a guardian is there."""
    for region in facts.regions:
        may = [(at, may_open(record, region)) for at, record in facts.record.changes if at >= 0.0]
        closed = [span for span in Course(True, [one for one, _ in changed(may)], facts.end).spans() if not span.value]
        for one in closed:
            for guarded in facts.guarded(region).spans():
                start, end = max(one.start, guarded.start), min(one.end, guarded.end)
                starts = [each.at for each in facts.of(StartedOpen) if each.region == region]
                for calm, disturbed in quiet(facts, start, end, starts) if guarded.value else ():
                    since = calm + CLOSED_WITHIN_S
                    left = [each for each in facts.sessions if each.value == region and each.overlaps(since, disturbed)]
                    if since < disturbed and left:
                        yield (
                            max(since, left[0].start),
                            f"applications go on writing in {region}, which is to be closed",
                        )


def signs_what_is_not_so(facts: Facts) -> Iterator[tuple[float, str]]:
    """A guardian says in the lock that its database is fenced, and applications could write there all the time."""
    for one in facts.of(Written):
        sign = (one.after.get("transition") or {}).get("writer_sign")
        before = (one.before.get("transition") or {}).get("writer_sign")
        if sign is None or sign == before or not sign["fenced"]:
            continue
        region, since = one.after["writer_region"], one.at - SIGNED_WITHIN_S
        stood = any(facts.fenced(region).within(since, one.at)) or facts.shut(region, one.at)
        if _has_started_open(facts, region, one.at, one.at):
            continue  # the guardian had it restarted, and RDS was to close its security group before it started
        if not stood and set(facts.role(region).within(since, one.at)) == {"writer"}:
            yield one.at, f"{one.by} signs that {region} is fenced, and it is open"
