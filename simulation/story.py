"""A history told in short sentences with times, for people who want to know what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from simulation.checks import Violation
from simulation.faults import Fault
from simulation.happened import (
    Answers,
    Approved,
    Asked,
    CapacityAsked,
    Ended,
    Fact,
    FaultBegan,
    FaultEnded,
    Fenced,
    Fit,
    Guarded,
    History,
    HookBegan,
    Kept,
    Lifted,
    Mute,
    NameLeadsTo,
    PersonDid,
    Promoted,
    RdsBegan,
    RdsEnded,
    Refused,
    Replicated,
    Retired,
    RoleChanged,
    RunEnded,
    RunStarted,
    SessionClosed,
    SessionOpened,
    SnapshotTaken,
    StartedOpen,
    StateEntered,
    Told,
    Works,
    Written,
)

# What is written all the time: told of only where it begins anew, or ends.
USUAL = {"renew", "renew_unknown", "give_word", "sign_of_life"}
LONGEST = 160  # characters of a text that people were sent
WHO = {
    "application": "an application",
    "owner": "the owner of the database",
    "second database": "a client of a second database",
    "somebody else's database": "a client of somebody else's database",
}
PLAINLY = {"sql": "by SQL", "group": "by its security group", "restart": "by a restart"}


def tell(history: History, broken: Sequence[Violation] = ()) -> list[str]:
    """Returns the story of a history, a line a sentence; what broke stands where it broke."""
    lines = [(fact.at, number, sentence) for number, fact, sentence in _sentences(history)]
    lines += [(one.at, len(history.happened), f"*** {one.promise}: {one.what}") for one in broken]
    return [f"{at:7.2f} s  {sentence}" for at, _, sentence in sorted(lines, key=lambda line: line[:2])]


def in_words(fault: Fault) -> str:
    """Says what a fault is, and where."""
    how = ", ".join(f"{name} {value:g}" for name, value in fault.how.items())
    return f"{fault.kind}{f' in {fault.where}' if fault.where else ''}{f' ({how})' if how else ''}"


def _sentences(history: History) -> Iterator[tuple[int, Fact, str]]:
    usual: tuple[Any, ...] | None = None
    for number, fact in enumerate(history.happened):
        if isinstance(fact, Written) and fact.row in USUAL:
            if (fact.row, fact.by) == usual:
                continue
            usual = fact.row, fact.by
        say = TELLS.get(type(fact))
        sentence = say(fact) if say is not None else ""
        if sentence:
            yield number, fact, sentence


def _written(fact: Written) -> str:
    lock = fact.after.get("transition")
    held = f"run {lock['run']} is {lock['phase']}" if lock else "no lock"
    lost = "" if fact.answered else ", and never learns of it"
    return f"{fact.by} writes {fact.row}: {fact.after['writer_region']}, epoch {fact.after['epoch']}, {held}{lost}"


def _asked(fact: Asked) -> str:
    return f"{fact.run} asks RDS for a {fact.operation} to {fact.region}: {'taken' if fact.accepted else 'refused'}"


def _ended(fact: RunEnded) -> str:
    outcome = fact.output.get("outcome", "") if isinstance(fact.output, dict) else ""
    return f"run {fact.run} has ended: {' '.join(filter(None, (fact.status, outcome, fact.error)))}"


def _promoted(fact: Promoted) -> str:
    return f"{fact.region} takes writes, with what was written until {fact.until:.2f} s{', fenced' * fact.fenced}"


def _at_the_end(fact: Ended) -> str:
    open_to = " and ".join(fact.open_to) or "nobody"
    return f"it ends: the record names {fact.record['writer_region']}, the name {fact.name_leads_to}; open is {open_to}"


# By the kind of a fact, the sentence for it; an empty one is not told.
TELLS: dict[type[Fact], Callable[[Any], str]] = {
    FaultBegan: lambda fact: f"--- {in_words(fact.fault)}, for {fact.fault.lasts:.2f} s",
    FaultEnded: lambda fact: f"--- over: {in_words(fact.fault)}",
    RoleChanged: lambda fact: (
        f"the database in {fact.region} is {fact.role if fact.role == 'down' else 'a ' + fact.role}"
    ),
    Mute: lambda fact: f"from elsewhere {fact.region}'s database {'cannot' if fact.mute else 'may'} be used",
    Answers: lambda fact: (
        f"{fact.region}'s database {'answers' if fact.answers else 'does not answer'} the other region at once"
    ),
    SessionOpened: lambda fact: f"{WHO[fact.whose]} ({fact.client}) writes in {fact.region}",
    SessionClosed: lambda fact: f"session {fact.session} in {fact.region} has ended: {fact.why}",
    Fenced: lambda fact: f"{fact.region} is closed {PLAINLY[fact.by]}",
    StartedOpen: lambda fact: f"the server in {fact.region} has started, and is open",
    Lifted: lambda fact: f"{fact.region} is open again {PLAINLY[fact.by]}",
    Fit: lambda fact: f"the writer in {fact.region} is {'well' if fact.fit else 'excused'}",
    Works: lambda fact: f"{fact.means} in {fact.region} {'works' if fact.works else 'does not work'}",
    Guarded: lambda fact: f"{fact.region} is {'guarded' if fact.guarded else 'without a guardian'}",
    Promoted: _promoted,
    Replicated: lambda fact: (
        f"the database in {fact.region} follows"
        if fact.until is None
        else f"the database in {fact.region} has what was committed until {fact.until:.2f} s, and gets no more"
    ),
    NameLeadsTo: lambda fact: f"the name leads to {fact.region}",
    Asked: _asked,
    RdsBegan: lambda fact: f"RDS begins the {fact.operation} to {fact.region}",
    RdsEnded: lambda fact: f"RDS has {fact.how} the {fact.operation} to {fact.region}",
    CapacityAsked: lambda fact: (
        f"RDS is asked for more capacity in {fact.region}: {'taken' if fact.accepted else 'refused'}"
    ),
    HookBegan: lambda fact: f"the hook {fact.name} begins in {fact.region}, and {fact.how}",
    SnapshotTaken: lambda fact: (
        f"a snapshot of {fact.cluster} in {fact.region} has what was there at {fact.began:.2f} s"
    ),
    Retired: lambda fact: f"{fact.cluster} in {fact.region} is deleted",
    Kept: lambda fact: f"{fact.name} is kept in {fact.region}, {len(fact.text)} characters",
    Written: _written,
    Refused: lambda fact: f"{fact.by} may not write {fact.row}" if fact.row not in USUAL else "",
    RunStarted: lambda fact: f"run {fact.run} starts in {fact.region}: {dict(fact.asked)}",
    StateEntered: lambda fact: f"run {fact.run} enters {fact.state}",
    RunEnded: _ended,
    Told: lambda fact: f"people are told through {fact.region}: {fact.subject[:LONGEST]}",
    Approved: lambda _: "",  # what the person did tells it
    PersonDid: lambda fact: fact.what,
    Ended: _at_the_end,
}
