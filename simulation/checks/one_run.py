"""P2, one run and one move; and P1, that a move that RDS may have begun only goes forward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from simulation.checks.facts import Facts
from simulation.happened import Asked, RdsEnded, Written


def more_than_one_move(facts: Facts) -> Iterator[tuple[float, str]]:
    """The epoch grows without a move, or the other way round, or RDS moves the writer twice in one."""
    for one in facts.of(Written):
        moved = one.before["writer_region"] != one.after["writer_region"]
        grown = one.after["epoch"] - one.before["epoch"]
        if grown != moved:
            yield one.at, f"{one.row} changes the epoch by {grown} and {'moves' if moved else 'keeps'} the writer"
    done = [(facts.record.at(one.at)["epoch"], one.at) for one in facts.of(RdsEnded) if one.how == "done"]
    for (before, _), (epoch, at) in pairwise(done):
        if before == epoch:
            yield at, f"RDS has moved the writer twice in epoch {epoch}"


def asked_without_the_lock(facts: Facts) -> Iterator[tuple[float, str]]:
    """RDS takes a request that no lock that moves the writer has noted."""
    for one in facts.of(Asked):
        lock = facts.record.at(one.at).get("transition")
        held = lock is not None and lock["phase"] == "moving" and lock["target_region"] == one.region
        if one.accepted and not (held and lock["move_requests"] > 0):
            yield one.at, f"RDS takes a {one.operation} to {one.region}, and no lock notes it"


def given_back_under_rds(facts: Facts) -> Iterator[tuple[float, str]]:
    """A lock is given back, or knows less, while RDS is at work or has taken a request."""
    for one in facts.of(Written):
        before, after = one.before.get("transition"), one.after.get("transition")
        if before is None or one.before["epoch"] != one.after["epoch"] or not _backs_out(before, after):
            continue
        if any(span.start < one.at < span.end for span in facts.rds_at_work):
            yield one.at, f"{one.row} gives the lock of run {before['run']} back while RDS may be at work"


def _backs_out(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> bool:
    """Whether a lock knows less of what was begun than before."""
    return (
        after is None
        or (before["phase"] == "moving" and after["phase"] != "moving")
        or (after["move_requests"] < before["move_requests"])
    )
