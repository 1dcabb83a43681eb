"""The verdict on a drill that goes full circle: what its steps did, what must hold at its end (a row per invariant)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from drills.verdict.invariants import (
    BALANCES_MATCH_MOVEMENTS,
    LEAST_PRIVILEGE,
    NAME_LEADS_TO_WRITER,
    NOTHING_DUPLICATED,
    SUM_UNCHANGED,
    Found,
    Invariant,
    from_the_books,
    is_bounded,
)
from drills.verdict.ledger import Judgement, writing_at_the_end
from drills.verdict.moves import unexplained
from drills.verdict.result import Leg, StepKind
from drills.verdict.seen import acted

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from drills.verdict.ledger import Books
    from drills.verdict.moves import Move, MoveJudgement
    from drills.world.bank import Event


@dataclass(frozen=True)
class Step:
    """A step that was done. ``began`` and ``ended`` are virtual times, ``began_real`` is the machine's."""

    kind: StepKind
    run: str
    began: float
    began_real: float
    ended: float
    before: str
    writer: str
    epoch: int

    @property
    def moves(self) -> bool:
        """Whether it moved the writer."""
        return self.kind != "re-protection"


@dataclass(frozen=True)
class RoundFound(Found):
    """What was found when a drill that goes full circle was over."""

    surely_loses: bool
    """Whether a round's outage has the old writer acknowledge what nobody else has."""
    home: tuple[str, str]
    """The writer and the standby region when the drill began."""
    roles: tuple[str, str]
    """Those at its end."""
    steps: Sequence[Step]
    moves: Sequence[Move]
    judged: Sequence[MoveJudgement]
    present: set[str]
    """The transfers on the writer before the replay."""
    present_after_replay: set[str]
    salvaged: set[str]
    """The transfers in the salvage files."""
    said: tuple[Counter[str], Counter[str]]
    """What the application's function answered to the statements of the salvage files, the first time and again."""
    clients: int
    """Clients that lived when the drill was over."""
    standby_has_all: bool
    """Whether the standby streams from the writer and holds everything that it holds."""

    @cached_property
    def acknowledged(self) -> set[str]:
        """The transfers that were promised."""
        return {each.id for each in self.events if each.event == "ack"}

    @property
    def lost(self) -> set[str]:
        """Those of them that the writer lacked before the replay."""
        return self.acknowledged - self.present

    @property
    def unsaved(self) -> set[str]:
        """Lost transfers that are in no salvage file."""
        return self.lost - self.salvaged

    @property
    def needless(self) -> set[str]:
        """Acknowledged transfers that are in a salvage file though they were not lost."""
        return (self.salvaged & self.acknowledged) - self.lost

    def salvage_problems(self) -> list[str]:
        """Says what is wrong with the salvage files; empty when nothing is."""
        if not self.unsaved and not self.needless:
            return []
        examples = sorted(self.unsaved | self.needless)[:3]
        return [
            f"{len(self.unsaved)} lost transfers are not in the salvage, {len(self.needless)} are there though not "
            f"lost: {examples}"
        ]

    @property
    def moving_steps(self) -> list[Step]:
        """The steps that moved the writer."""
        return [step for step in self.steps if step.moves]


def _losses_were_bounded(found: RoundFound) -> bool:
    """Returns whether each failover lost no more than its run said; nothing excuses a loss in a failback."""
    runs = {run.name: run for run in found.runs}
    return all(
        is_bounded(move.rpo_seconds, runs[step.run])
        for step, move in zip(found.moving_steps, found.judged, strict=True)
        if step.kind == "failover"
    )


def _clients_recovered(found: RoundFound) -> bool:
    last = max((each.t for each in found.events), default=0.0)
    return len(writing_at_the_end(found.events, last, found.last_seconds)) == found.clients


def _replay_applies_all(found: RoundFound) -> bool:
    first, _ = found.said
    return first.total() == first["applied"] == len(found.salvaged)


def _replay_repeats_nothing(found: RoundFound) -> bool:
    first, again = found.said
    return again.total() == again["known"] == first.total()


def _standby_follows(found: RoundFound) -> bool:
    writer, standby = found.home
    return found.facts.members == {writer: True, standby: False} and found.standby_has_all


ROUND_INVARIANTS: tuple[Invariant[RoundFound], ...] = (
    NOTHING_DUPLICATED,
    SUM_UNCHANGED,
    BALANCES_MATCH_MOVEMENTS,
    from_the_books(
        "one_writer", "nothing was acknowledged by an old writer once the new one had taken over, in any move"
    ),
    Invariant(
        "replicated_is_kept",
        "every acknowledged write that was replicated is on the writer at the end",
        lambda found: not unexplained(found.events, found.moves, found.present),
    ),
    Invariant(
        "loss_was_bounded",
        "no failover lost a write that is older than its run's record says may be lost",
        _losses_were_bounded,
    ),
    Invariant(
        "recovery_proved",
        "every move's own write through the writer name is on the writer at the end",
        lambda found: found.facts.proofs == {step.run for step in found.moving_steps},
    ),
    Invariant(
        "salvage_has_the_lost",
        "the lost writes are exactly those acknowledged ones that are in the salvage files",
        lambda found: not found.unsaved and not found.needless,
    ),
    Invariant(
        "replay_applies_all",
        "every statement of the salvage files was applied when they were replayed",
        _replay_applies_all,
    ),
    Invariant(
        "replay_repeats_nothing",
        "replayed once more, no statement of them was applied",
        _replay_repeats_nothing,
    ),
    Invariant(
        "nothing_lost_in_the_end",
        "after the replay no acknowledged write is missing",
        lambda found: found.acknowledged <= found.present_after_replay,
    ),
    Invariant(
        "clients_recovered",
        "every client writes at the end, those pinned to the first writer's endpoint too",
        _clients_recovered,
    ),
    Invariant(
        "writer_is_home",
        "the writer is where it began, and the standby where that began",
        lambda found: found.roles == found.home,
    ),
    Invariant(
        "standby_follows",
        "the standby streams from the writer, holds all it holds, and is in the global database",
        _standby_follows,
    ),
    Invariant(
        "epoch_counts_moves",
        "the epoch has grown by one with each move",
        lambda found: found.facts.epoch == 1 + len(found.moving_steps),
    ),
    Invariant(
        "protected_again",
        "the control record is protected, and holds no lock",
        lambda found: found.facts.protected and not found.facts.reprotecting and found.facts.lock is None,
    ),
    NAME_LEADS_TO_WRITER,
    Invariant(
        "each_step_one_run",
        "each step was the work of one run, and no other changed anything",
        lambda found: sorted(run.name for run in acted(found.runs)) == sorted(step.run for step in found.steps),
    ),
    LEAST_PRIVILEGE,
    Invariant(
        "something_was_lost",
        "at least one acknowledged write was lost, so that the salvage had something to show",
        lambda found: bool(found.lost),
        when=lambda found: found.surely_loses,
    ),
)


def sum_up(
    events: Sequence[Event], moves: Sequence[Move], judged: Sequence[MoveJudgement], present: set[str], books: Books
) -> Judgement:
    """Returns the figures of all moves together; those of the outage are the first one's.

    ``present`` are the transfers on the writer before the replay, ``books`` what its books say after it.
    """
    findings = books.findings()
    acknowledged = {event.id for event in events if event.event == "ack"}
    both_wrote = sum(each.both_wrote for each in judged)
    findings["one_writer"] = f"{both_wrote} transfers were acknowledged by an old writer" if both_wrote else ""
    first = judged[0] if judged else None
    return Judgement(
        acknowledged=len(acknowledged),
        failed_attempts=sum(event.event == "fail" for event in events),
        lost=len(acknowledged - present),
        duplicated=books.duplicated,
        unreplicated=sum(len(move.unreplicated) for move in moves),
        rpo_seconds=max((each.rpo_seconds for each in judged), default=0.0),
        rto_seconds=first.rto_seconds if first else None,
        resumption_median_seconds=None,
        resumption_last_seconds=None,
        gap_seconds=first.gap_seconds if first else None,
        both_wrote=both_wrote,
        outage_started=first.outage_started if first else None,
        outage_ended=first.outage_ended if first else None,
        divergence_position=None,
        invariants={name: not problem for name, problem in findings.items()},
        problems=[problem for problem in findings.values() if problem],
    )


def legs_of(found: RoundFound, salvaged: Mapping[int, set[str]], zero: float) -> list[Leg]:
    """Returns the steps as the report shows them.

    ``salvaged`` are the transfers in the salvage files by epoch, ``zero`` is the virtual time of the first outage.
    """
    figures = iter(found.judged)
    legs = []
    for step in found.steps:
        leg = Leg(
            step=step.kind,
            run=step.run,
            started_s=step.began - zero,
            seconds=step.ended - step.began,
            writer=step.writer,
            epoch=step.epoch,
        )
        if step.moves:
            move = next(figures)
            more = {
                "lost": len(move.lost),
                "rto_seconds": move.rto_seconds,
                "gap_seconds": move.gap_seconds,
                "both_wrote": move.both_wrote,
            }
        else:
            more = {"salvaged": len(salvaged.get(step.epoch, set()))}
        legs.append(leg.model_copy(update=more))
    return legs
