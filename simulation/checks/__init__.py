"""What must hold of every history, whatever failed in it: one row a promise.

The checks read the facts of a history (`simulation.happened`) and nothing else. They know nothing of how the product
decides, and import nothing of it (an import contract says so): the numbers here are those of the promises in
docs/guarantees.md, and where a promise has a limit, the limit is written here as it is written there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simulation.checks.facts import Facts
from simulation.checks.gated import (
    begins_against_a_no,
    goes_on_against_a_wish,
    loses_more_than_accepted,
    moves_against_an_observer,
    moves_in_a_maintenance,
)
from simulation.checks.harmless import (
    closed_for_nothing,
    kept_closed_by_a_lock,
    led_elsewhere,
    not_served,
    restarted_for_nothing,
)
from simulation.checks.honest import (
    command_fails,
    commits_to_no_writer,
    hook_not_told,
    lost_more_than_said,
    nobody_told,
    not_recovered,
)
from simulation.checks.one_run import asked_without_the_lock, given_back_under_rds, more_than_one_move
from simulation.checks.one_writer import (
    asked_beside_an_open_writer,
    let_in_elsewhere,
    moved_under_a_lease,
    signs_what_is_not_so,
    stays_open,
    two_writers,
)
from simulation.checks.persistent import capacity_at_a_bad_moment, held_up, no_next_attempt, not_moved
from simulation.checks.way_back import no_standby, not_in_a_snapshot, rows_not_kept, stands_still
from simulation.happened import History


@dataclass(frozen=True)
class Violation:
    """A promise was broken ``at`` that moment (seconds from the history's beginning)."""

    promise: str
    at: float
    what: str


@dataclass(frozen=True)
class Check:
    """One promise: its name, what it says, and what breaks it."""

    promise: str
    meaning: str
    broken: Callable[[Facts], Iterator[tuple[float, str]]]


def violations(history: History) -> list[Violation]:
    """Returns what is wrong with a history, the earliest first."""
    facts = Facts(history)
    found = [Violation(check.promise, at, what) for check in CHECKS for at, what in check.broken(facts)]
    return sorted(found, key=lambda one: one.at)


def _unexpected(facts: Facts) -> Iterator[tuple[float, str]]:
    for error in facts.history.errors:
        yield 0.0, error


CHECKS = (
    Check("P1 one writer", "no two regions have sessions that can write", two_writers),
    Check("P1 fenced first", "RDS is asked when no application writes to the old writer", asked_beside_an_open_writer),
    Check("P1 sign is true", "a guardian that signs that it has fenced has", signs_what_is_not_so),
    Check("P1 closed", "nobody goes on writing where the record has no open writer", stays_open),
    Check("P1 lease vetoes", "no failover commits to move a writer whose lease lives", moved_under_a_lease),
    Check("P2 one move", "an epoch moves the writer once", more_than_one_move),
    Check("P2 one run", "RDS is asked by whoever holds the lock, and it says so", asked_without_the_lock),
    Check("P1 let in", "applications are let in where the record has the writer, and nowhere else", let_in_elsewhere),
    Check("P1 only forward", "no lock is given back while RDS may be at work", given_back_under_rds),
    Check(
        "P5 two observers",
        "nothing by itself moves a writer that the standby's region or its guardian finds well",
        moves_against_an_observer,
    ),
    Check("P5 lag gate", "no failover loses more than the budget unless a person accepts it", loses_more_than_accepted),
    Check("P5 person's no", "no attempt begins by itself against a person's no", begins_against_a_no),
    Check("P5 maintenance", "nothing moves the writer by itself while a person works on it", moves_in_a_maintenance),
    Check("P5 hold and abort", "a run goes no step further against a person's wish", goes_on_against_a_wish),
    Check("P7 loss bounded", "no more is lost than the run's record says", lost_more_than_said),
    Check("P7 recovered", "a run that says so is right: record, name and database agree", not_recovered),
    Check("P7 committed", "the record names a writer that has become one", commits_to_no_writer),
    Check("P7 people told", "people are told of every run that ends badly", nobody_told),
    Check("P7 command works", "a command that a message gives ends well once all is repaired", command_fails),
    Check("P7 hook told", "people are told of a hook that fails or hangs", hook_not_told),
    Check("P9 not held up", "nothing beside a run that has moved the writer keeps it from its end", held_up),
    Check(
        "P9 capacity",
        "RDS is asked for capacity of a writer that nobody moves, and of no other",
        capacity_at_a_bad_moment,
    ),
    Check("P9 next attempt", "while the writer is dead another attempt always comes", no_next_attempt),
    Check("P9 moved", "a dead writer is moved, or people are asked whether writes may be lost", not_moved),
    Check("P10 open", "a healthy writer whose lease can be renewed is open", closed_for_nothing),
    Check("P10 not restarted", "no healthy writer with a new lease is restarted", restarted_for_nothing),
    Check("P10 name", "the name leads where the record says that clients belong", led_elsewhere),
    Check("P10 served", "when all is repaired applications write in the record's writer only", not_served),
    Check("P10 given back", "a run that does not go on keeps no healthy writer closed", kept_closed_by_a_lock),
    Check("P7 kept", "nothing is deleted that is neither in the new writer nor in the export", rows_not_kept),
    Check("P7 snapshot", "no cluster is deleted without a snapshot of all of it", not_in_a_snapshot),
    Check("P7 protected", "a record that says so has a standby", no_standby),
    Check("P9 way back", "a re-protection that nothing disturbs goes on", stands_still),
    Check("no surprise", "no function ends in an error that it does not know", _unexpected),
)
