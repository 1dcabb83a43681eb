"""P7, honest: what is said of a run, and to whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulation.checks.facts import OBEYS, Facts
from simulation.happened import HookBegan, Promoted, RunEnded, RunStarted, StateEntered, Told, Written

# P7: how long a hook may take (`simulation.hooks`).
LONGEST_HOOK_S = 30.0
# P7: how long ago a run may have seen what it declares: the time limits of the steps between its proof and its end.
PROVED_WITHIN_S = 10.0
# P7: until people have been told of a run's end: the message's own retries, or Step Functions' event.
TOLD_WITHIN_S = 60.0
# P7: without these a message is not sent: events and messages are best effort, and alarms page as well.
NEEDED_TO_TELL = {"region dead", "isolated", "throttled", "cold starts", "step frozen", "bus loses", "bus late"}
# P7: how long a run of the failover workflow may take that a person starts in a repaired world, and that asks nobody.
COMMAND_ENDS_WITHIN_S = 50.0


def lost_more_than_said(facts: Facts) -> Iterator[tuple[float, str]]:
    """A write is lost that is older than the bound that the record of the run gives."""
    for ended, output in _recovered(facts):
        bound_ms = output.get("rpo_at_most_ms")
        move = next((one for one in reversed(facts.of(Promoted)) if one.at <= ended.at), None)
        if bound_ms is None or move is None:
            continue
        old = output["old_writer_region"]
        last = max((span.end for span in facts.sessions if span.value == old and span.start < ended.at), default=0.0)
        lost_ms = (last - move.until) * 1000
        if lost_ms > bound_ms:
            yield ended.at, f"run {ended.run} says that {bound_ms:.0f} ms were lost at most; it was {lost_ms:.0f} ms"


def _recovered(facts: Facts) -> Iterator[tuple[RunEnded, Mapping[str, Any]]]:
    for one in facts.of(RunEnded):
        if isinstance(one.output, Mapping) and one.output.get("outcome") == "recovered":
            yield one, one.output


def not_recovered(facts: Facts) -> Iterator[tuple[float, str]]:
    """A run says that it has recovered, and record, database or name had not agreed."""
    for one in facts.of(StateEntered):
        if one.state != "OutcomeRecovered":
            continue
        start, end = one.at - PROVED_WITHIN_S, one.at
        run = next((span.value for span in facts.runs if span.value.run == one.run), None)
        target = run.region if run is not None else None
        if target not in {record["writer_region"] for record in facts.record.within(start, end)}:
            yield one.at, f"run {one.run} declares {target} the writer, and the record names another region"
        elif "writer" not in facts.role(str(target)).within(start, end):
            yield one.at, f"run {one.run} declares {target} the writer, and its database is none"
        elif target not in facts.name.within(start, end):
            yield one.at, f"run {one.run} declares {target} the writer, and the name does not lead there"


def commits_to_no_writer(facts: Facts) -> Iterator[tuple[float, str]]:
    """The record names another writer, whose database was none in the time that a run may take from its proof on.

    While its region is dead a run takes no time: it goes on, when that is over, with what it has seen.
    """
    for one in facts.of(Written):
        target, since = one.after["writer_region"], one.at - PROVED_WITHIN_S
        dead = [span for span in facts.faults if (span.value.kind, span.value.where) == ("region dead", target)]
        since = min([since, *(span.start - PROVED_WITHIN_S for span in dead if span.overlaps(since, one.at))])
        if target != one.before["writer_region"] and "writer" not in facts.role(target).within(since, one.at):
            yield one.at, f"{one.by} makes {target} the writer, and its database is none"


def nobody_told(facts: Facts) -> Iterator[tuple[float, str]]:
    """People are not told of a run that needs them, or ended without a word."""
    for one in facts.of(RunEnded):
        ends_badly = one.status in ("TIMED_OUT", "ABORTED") or one.error == "NeedsPerson"
        region = next((each.region for each in facts.of(RunStarted) if each.run == one.run), None)
        until = one.at + TOLD_WITHIN_S
        if not ends_badly or region is None or until > facts.end or _cannot_tell(facts, region, one.at - 15.0, until):
            continue
        if not any(one.at - 15.0 <= told.at <= until and one.run in told.text for told in facts.of(Told)):
            yield one.at, f"nobody is told how run {one.run} has ended ({one.status})"


def _cannot_tell(facts: Facts, region: str, start: float, end: float) -> bool:
    """Whether something failed there in that time that a message or Step Functions' event needs."""
    return any(
        span.value.kind in NEEDED_TO_TELL and span.value.where in (region, "") and span.overlaps(start, end)
        for span in facts.faults
    )


def command_fails(facts: Facts) -> Iterator[tuple[float, str]]:
    """What a message told people to start, somebody has started, after everything was repaired."""
    ended = {one.run: one for one in facts.of(RunEnded)}
    for begun in [one for one in facts.of(RunStarted) if one.run.endswith(OBEYS)]:
        end = ended.get(begun.run)
        until = facts.end if end is None else end.at
        if _disturbed(facts, begun.at, until) or _taken_over(facts, begun.run):
            continue
        if end is not None and end.status != "SUCCEEDED":
            yield end.at, f"the command of a message ends in {end.error or end.status} though nothing fails any more"
        asks = any(question.value == begun.run for question in facts.questions)
        if begun.workflow == "failover" and until - begun.at > COMMAND_ENDS_WITHIN_S and not asks:
            yield until, f"the run that a message's command has started goes on for {until - begun.at:.0f} s"


def _taken_over(facts: Facts, run: str) -> bool:
    """Whether somebody else has gone on with what the run did, which it can then only end with."""
    locks = [(one.before.get("transition") or {}, one.after.get("transition") or {}) for one in facts.of(Written)]
    return any(before.get("run") == run and after.get("run", run) != run for before, after in locks)


def _disturbed(facts: Facts, start: float, end: float) -> bool:
    """Whether anything failed in that time."""
    return any(span.overlaps(start, end) for span in facts.faults)


def hook_not_told(facts: Facts) -> Iterator[tuple[float, str]]:
    """A hook has failed, or has not ended in its time, and nobody is told."""
    for one in facts.of(HookBegan):
        until = one.at + LONGEST_HOOK_S + TOLD_WITHIN_S
        if one.how == "works" or until > facts.end or _cannot_tell(facts, one.region, one.at - 15.0, until):
            continue
        if not any(one.at <= told.at <= until and f": {one.name}" in told.subject for told in facts.of(Told)):
            yield one.at, f"nobody is told that the hook {one.name} {one.how}"
