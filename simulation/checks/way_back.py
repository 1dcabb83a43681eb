"""P7 and P9 on the way back: what is retired, and what of it is kept."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from simulation.checks.facts import ASKING, Course, Facts, quiet
from simulation.happened import (
    Kept,
    Promoted,
    Retired,
    RunEnded,
    RunStarted,
    SessionClosed,
    SessionOpened,
    SnapshotTaken,
    StateEntered,
    Whose,
    Written,
)

# P7: how long before the record says so a run may have seen that the standby follows: the time limits of two steps.
ARMED_WITHIN_S = 70.0
# P9: how long a re-protection may stay in a state while nothing fails: a cluster is built in a minute here, and a step
# is tried again after a minute at most.
STANDS_STILL_S = 150.0
# A row in an exported file, and how often a session writes one (`simulation.salvage`).
ROW, ROW_EVERY_S = re.compile(r'"id": ?"(\d+\.\d+)"'), 0.5
# P7: whose rows are salvaged; what is in another database only the snapshot has.
SALVAGED: tuple[Whose, ...] = ("application", "owner")


def rows_not_kept(facts: Facts) -> Iterator[tuple[float, str]]:
    """A cluster is deleted with a row in it that the new writer lacks, and no file that was exported has."""
    for one in facts.of(Retired):
        moves = [each for each in facts.of(Promoted) if each.region != one.region and each.at <= one.at]
        until = moves[-1].until if moves else 0.0
        kept = {each.name: each.text for each in facts.of(Kept) if each.region != one.region and each.at <= one.at}
        exported = {found for text in kept.values() for found in ROW.findall(text)}
        rows = [(row, written) for whose, row, written in _rows_of(facts, one) if whose in SALVAGED]
        lost = [row for row, written in rows if written > until and row not in exported]
        if lost:
            yield (
                one.at,
                f"the cluster in {one.region} is deleted with {len(lost)} rows that are nowhere else, as {lost[0]}",
            )


def _rows_of(facts: Facts, retired: Retired) -> Iterator[tuple[Whose, str, float]]:
    """Yields the rows that were written there since the last cluster of that region was deleted, and by whom."""
    before = [one.at for one in facts.of(Retired) if one.region == retired.region and one.at < retired.at]
    since, ended = max(before, default=0.0), {one.session: one.at for one in facts.of(SessionClosed)}
    for one in facts.of(SessionOpened):
        if one.region == retired.region and since <= one.at < retired.at:
            lasted = min(ended.get(one.session, retired.at), retired.at) - one.at
            for row in range(math.floor(lasted / ROW_EVERY_S) + 1):
                yield one.whose, f"{one.session}.{row}", one.at + row * ROW_EVERY_S


def not_in_a_snapshot(facts: Facts) -> Iterator[tuple[float, str]]:
    """A cluster is deleted that was written after its last complete snapshot was begun."""
    for one in facts.of(Retired):
        taken = [each for each in facts.of(SnapshotTaken) if each.cluster == one.cluster and each.at <= one.at]
        begun = max((each.began for each in taken), default=-math.inf)
        last = max((written for _, _, written in _rows_of(facts, one)), default=0.0)
        if not taken or last > begun:
            yield one.at, f"the cluster in {one.region} is deleted, and no snapshot has all of it"


def no_standby(facts: Facts) -> Iterator[tuple[float, str]]:
    """The record says that there is a standby again, and no database follows the writer."""
    for one in facts.of(Written):
        if one.before.get("protected", True) or not one.after.get("protected", True):
            continue
        other = facts.other(one.after["writer_region"])
        if "reader" not in facts.role(other).within(one.at - ARMED_WITHIN_S, one.at):
            yield one.at, f"{one.by} says that {other} is the standby, and its database is none"


def stands_still(facts: Facts) -> Iterator[tuple[float, str]]:
    """A re-protection that waits for nobody's answer stays where it is, though nothing fails."""
    ended = {one.run: one.at for one in facts.of(RunEnded)}
    for run in [one.run for one in facts.of(RunStarted) if one.workflow == "reprotect"]:
        entered = [(one.at, one.state) for one in facts.of(StateEntered) if one.run == run]
        for state in Course("", entered, ended.get(run, facts.end)).spans():
            for start, end in quiet(facts, state.start, state.end):
                if end - start > STANDS_STILL_S and state.value not in ("", ASKING):
                    yield start, f"re-protection {run} stays in {state.value} for {end - start:.0f} s"
