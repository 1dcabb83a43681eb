"""P5, gated: two observers, the lag, and what people have said."""

from __future__ import annotations

import math
from collections.abc import Iterator

from simulation.checks.facts import Facts, Span, commits_to_a_failover, fails_over
from simulation.checks.loss import too_much_is_lost
from simulation.checks.persistent import keeps_from_beginning
from simulation.happened import Approved, Written
from simulation.virtual_time import STARTS_AT

# P5: how long a guardian gives no sign before it counts as silent (three ticks), and for how long it may say that its
# database is down, or not known, before that counts (`recovery_grace_s`); less what a run's clock may be off.
NO_SIGN_S, GRACE_S, CLOCK_S = 6.0, 25.0, 1.0
# P5: a lease, and a guardian's rest by its word, end so long after the sign of life that they are.
LEASE_S, REST_S = 10.0, 7.0


def begins_against_a_no(facts: Facts) -> Iterator[tuple[float, str]]:
    """An automatic run that takes the lock though a person keeps attempts from beginning; what RDS has is finished."""
    for one in facts.of(Written):
        before, after = one.before.get("transition"), one.after.get("transition")
        if after is None or after["run"] not in facts.automatic or (before and before["run"] == after["run"]):
            continue
        if not (before and before["move_requests"]) and (why := keeps_from_beginning(one.before, one.at)):
            yield one.at, f"run {after['run']} begins by itself though {why}"


def moves_in_a_maintenance(facts: Facts) -> Iterator[tuple[float, str]]:
    """A run that nobody has started is to move the writer on which a person works."""
    for one in facts.of(Written):
        before, after = one.before.get("transition"), one.after.get("transition")
        if after is None or after["run"] not in facts.automatic or not after["move_requests"]:
            continue
        pause = one.after.get("paused", {})
        maintained = pause.get("maintenance") and pause["until"] > STARTS_AT + one.at
        if maintained and not (before and before["move_requests"]):
            yield one.at, f"run {after['run']} asks RDS by itself in the maintenance of {pause['by']}"


def moves_against_an_observer(facts: Facts) -> Iterator[tuple[float, str]]:
    """A run that nobody has started commits to a failover, and whenever it looked one observer found the writer up.

    It looks at some moment between its beginning and the commit: what was so all that time, it has seen. A writer that
    was away, closed or without its guardian for a moment may have been looked at in that moment.
    """
    for one in facts.of(Written):
        run, region = commits_to_a_failover(one), one.before["writer_region"]
        if run not in facts.automatic:
            continue
        since = facts.began[run]
        if all(facts.found_well(region).within(since, one.at)):
            yield one.at, f"run {run} commits by itself to move the writer in {region}, which answers and is open"
        elif all(_guardian_lives(span, one.at) for span in facts.record.spans() if span.overlaps(since, one.at)):
            yield one.at, f"run {run} commits by itself to move the writer in {region}, whose guardian lives"


def _guardian_lives(record: Span, end: float) -> bool:
    """Whether the record shows a guardian that lives, to whoever reads it in that time and before the ``end``.

    It has written lately, and says nothing of its database, or has not said for long that it is down or not known. A
    sign of times to come is one of a wrong clock. Where a run stops or moves the writer, a guardian signs elsewhere.
    """
    shown, until = record.value, STARTS_AT + min(record.end, end)
    word = shown.get("word") or {}
    if (shown.get("transition") or {"phase": "checking"})["phase"] != "checking":
        return False
    ends = ((shown.get("lease_expires_at"), LEASE_S), (word.get("rests_until"), REST_S))
    sign = max((ends_at - lasts for ends_at, lasts in ends if ends_at is not None), default=-math.inf)
    said_since = word.get("since", math.inf)
    in_time = sign <= STARTS_AT + record.start and until - sign <= NO_SIGN_S - CLOCK_S
    return in_time and until - said_since <= GRACE_S - CLOCK_S


def loses_more_than_accepted(facts: Facts) -> Iterator[tuple[float, str]]:
    """RDS is asked for a failover that loses more than the budget, or nobody knows how much, and no person accepted it.

    The first request that is noted counts, and not the commit: a switchover that became a failover had committed
    before. Who decides is the run under which the lock became that of a failover that moves; a run that takes over
    from it then only goes on.

    Replication that was late may have brought the standby more since the run looked, and nothing less: what it has at
    the request counts. A heartbeat counts as too old that was so when the run began, for it looked later.
    """
    decides = ""
    for one in facts.of(Written):
        before, after = one.before.get("transition"), one.after.get("transition")
        if after is None or not fails_over(after):
            continue
        if not decides or not fails_over(before):
            decides = after["run"]
        first = after["move_requests"] and not (before and before["move_requests"])
        if not first or any(_accepts_loss(facts, run, one.at) for run in (decides, after["run"])):
            continue
        target, began = after["target_region"], facts.began[decides]
        if why := too_much_is_lost(facts, one.after, target, one.at, read_at=began):
            yield one.at, f"run {after['run']} asks RDS to move the writer, {why}, and nobody has accepted that"


def _accepts_loss(facts: Facts, run: str, at: float) -> bool:
    """Whether a person had accepted by then whatever the run loses: in its input, as an answer, or by `break-glass`.

    The command is no run of Step Functions, and says to whoever calls it that nobody measures the loss.
    """
    asked = next((one.value.asked for one in facts.runs if one.value.run == run), {"accept_data_loss": True})
    return bool(asked.get("accept_data_loss")) or any(one.run == run and one.at <= at for one in facts.of(Approved))


def goes_on_against_a_wish(facts: Facts) -> Iterator[tuple[float, str]]:
    """A run that a person wants to hold or to abort goes a step further, and RDS was not asked before."""
    steps = ("checking", "stopping", "moving")
    for one in facts.of(Written):
        before, after = one.before.get("transition"), one.after.get("transition")
        if before is None or after is None or before["run"] != after["run"] or not before.get("wanted"):
            continue
        further = steps.index(after["phase"]) > steps.index(before["phase"])
        if not before["move_requests"] and (further or after["move_requests"]):
            yield one.at, f"run {after['run']} goes on though a person wants it to {before['wanted']}"
