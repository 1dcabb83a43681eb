"""The judgement of a drill in which the writer moves several times, each move with a time of its own.

A cluster keeps its name when it is rebuilt: after a move back, the writer has the name of a former writer. So each move
is judged only by the events of its own time, from its beginning to that of the next.

What an old writer never replicated is read from its log before it is retired (`drills.world.divergence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from drills.verdict.ledger import acknowledged_late, gap, lost_span, measure_outage

if TYPE_CHECKING:
    from drills.world.bank import Event
    from drills.world.clock import Clock


@dataclass(frozen=True)
class Move:
    """The writer moved from one cluster to another; ``began`` is real time, in seconds since 1970.

    ``unreplicated`` are the transfers that the old writer committed and never replicated.
    """

    began: float
    before: str
    after: str
    unreplicated: frozenset[str] = frozenset()


@dataclass(frozen=True)
class MoveJudgement:
    """What a move did to the clients. Durations are in virtual seconds, times real seconds since 1970.

    ``lost`` are the transfers that the old writer acknowledged, never replicated, and that nobody has now.
    """

    lost: frozenset[str]
    rpo_seconds: float
    rto_seconds: float | None
    gap_seconds: float | None
    both_wrote: int
    outage_started: float | None
    outage_ended: float | None


def judge_moves(events: Sequence[Event], moves: Sequence[Move], present: set[str], clock: Clock) -> list[MoveJudgement]:
    """Judges each move by the events of its time; ``present`` are the transfers on the last writer."""
    bounds = [0.0, *(move.began for move in moves[1:]), float("inf")]
    return [
        _judge([event for event in events if event.t < end], start, move, present, clock)
        for (start, end), move in zip(pairwise(bounds), moves, strict=True)
    ]


def unexplained(events: Sequence[Event], moves: Sequence[Move], present: set[str]) -> set[str]:
    """Returns the acknowledged transfers that are lost though replicated, or present though never replicated."""
    acknowledged = {event.id: event.cluster for event in events if event.event == "ack"}
    lost = acknowledged.keys() - present
    never = {transfer for move in moves for transfer in move.unreplicated if acknowledged.get(transfer) == move.before}
    return lost ^ never


def _judge(until_then: list[Event], start: float, move: Move, present: set[str], clock: Clock) -> MoveJudgement:
    events = [event for event in until_then if event.t >= start]
    outage = measure_outage(events, *_ends(move))
    # What a move loses was acknowledged a moment or some seconds before it began.
    acknowledged = [event for event in until_then if event.event == "ack" and event.cluster == move.before]
    lost = {event.id for event in acknowledged if event.id in move.unreplicated} - present
    # The old writer's last answer may have come before the move; the new one's earlier life does not count.
    between = gap([event for event in until_then if event.t >= start or event.cluster == move.before], *_ends(move))
    return MoveJudgement(
        lost=frozenset(lost),
        rpo_seconds=clock.to_virtual(lost_span(acknowledged, lost, move.before)),
        rto_seconds=clock.to_virtual(outage.recovered - outage.started) if outage else None,
        gap_seconds=None if between is None else clock.to_virtual(between),
        both_wrote=acknowledged_late(events, *_ends(move)),
        outage_started=outage.started if outage else None,
        outage_ended=outage.recovered if outage else None,
    )


def _ends(move: Move) -> tuple[str, str]:
    return move.before, move.after
