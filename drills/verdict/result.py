"""The result of one drill: what happened, what was measured, whether it passed.

Every time here is in virtual seconds since the outage (since the start of the drill when it had no outage),
rounded to milliseconds. What happened before the outage has a negative time.
"""

from __future__ import annotations

import json
import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, FiniteFloat, computed_field, model_validator

from drills.ends import End
from drills.outages import OUTAGES
from drills.verdict.events import Event
from drills.verdict.lease import LeaseSpan
from drills.verdict.marks import Marks, Phase, parallel_work_of, phases_of
from drills.verdict.notes import Notes
from drills.verdict.record import Record, Seconds, rounded
from drills.verdict.throughput import Throughput
from handlers.report.facts import RPO_TARGET_S, RTO_TARGET_S

if TYPE_CHECKING:
    from collections.abc import Sequence

# The targets of the design's section 1. A drill over a target is shown as such; only invariants can fail it.
RTO_TARGET_SECONDS = RTO_TARGET_S
PROMOTION_TARGET_SECONDS = 60.0
RPO_TARGET_SECONDS = RPO_TARGET_S

# The fields of result.json that people look for, in the order they look.
RESULT_HEAD = (
    "status",
    "verdict",
    "mode",
    "outage",
    "troubles",
    "seed",
    "speed",
    "execution_status",
    "rto_seconds",
    "rto_by_name_seconds",
    "rto_by_hosts_seconds",
    "rpo_seconds",
    "acknowledged",
    "lost",
    "duplicated",
    "both_wrote",
    "gap_seconds",
    "writer_before",
    "writer_after",
    "phases",
    "invariants",
)


StepKind = Literal["failover", "re-protection", "failback"]


class Leg(Record):
    """One step of a drill that goes full circle.

    ``started_s`` to the end is the step as people see it: from the outage, or from the start of its workflow, until
    clients write again, or until the workflow has ended. ``writer`` and ``epoch`` are those after it. ``lost`` counts
    acknowledged writes that had not been replicated, ``salvaged`` those of them that were in the files which the
    re-protection kept.
    """

    step: StepKind
    run: str
    started_s: Seconds
    seconds: Seconds
    writer: str
    epoch: int
    lost: int | None = None
    salvaged: int | None = None
    rto_seconds: Seconds | None = None
    gap_seconds: Seconds | None = None
    both_wrote: int | None = None


class DrillResult(Record):
    """Everything that is known about one finished drill.

    ``arguments`` are the command line's, enough to run the same drill again. ``invariants`` says of each invariant
    whether it held, ``invariant_meanings`` what it promises. ``settings`` are the product settings that bear on the
    figures, ``gap_seconds`` lies between the old writer's last acknowledgement and the new one's first, ``both_wrote``
    counts the old one's acknowledgements after that, ``run_record`` is what the workflow recorded of itself, ``legs``
    are the steps of a circle, ``replayed`` counts the lost writes that a person wrote again from the files which the
    re-protections kept, ``troubles`` made the outage worse, ``clients`` says how they find the writer, and
    ``rto_by_name_seconds`` and ``rto_by_hosts_seconds`` are the times without writes of either kind (``rto_seconds`` is
    the first of them that was measured), ``closed_seconds`` is the longest time in which the first writer answered
    nobody though its database was there, ``lease`` is whose lease was good and when, ``problems`` says what broke, in
    one sentence each, and ``tolerated_errors`` are the errors that were seen and expected.
    """

    mode: str
    outage: str | None
    seed: int
    speed: FiniteFloat
    aurora_promotion_seconds: Seconds
    arguments: list[str]
    started_at: datetime
    demanded: End
    reached: End
    execution_name: str | None
    execution_arn: str | None
    execution_status: str | None
    writer_before: str
    standby: str
    writer_after: str | None
    gap_seconds: Seconds | None
    both_wrote: int
    rpo_seconds: Seconds | None
    acknowledged: int
    lost: int
    duplicated: int
    invariants: dict[str, bool]
    invariant_meanings: dict[str, str]
    marks: Marks
    throughput: Throughput
    events: list[Event]
    settings: dict[str, str | int | float | bool]
    run_record: dict[str, Any] | None
    postgresql_version: str
    notes: Notes
    problems: list[str]
    tolerated_errors: list[str]
    troubles: list[str] = Field(default_factory=list)
    clients: str = "name"
    rto_by_name_seconds: Seconds | None = None
    rto_by_hosts_seconds: Seconds | None = None
    closed_seconds: Seconds | None = None
    lease: list[LeaseSpan] = Field(default_factory=list)
    legs: list[Leg] = Field(default_factory=list)
    replayed: int | None = None

    @model_validator(mode="after")
    def _invariants_explained(self) -> Self:
        silent = sorted(self.invariants.keys() - self.invariant_meanings.keys())
        if silent:
            raise ValueError(f"invariant_meanings lacks {', '.join(silent)}: say what each of them promises")
        return self

    @computed_field  # type: ignore[prop-decorator]  # mypy has no decorators above property
    @property
    def status(self) -> Literal["passed", "failed"]:
        """Whether the demanded end was reached and every invariant held (and there was one to hold)."""
        proven = bool(self.invariants) and all(self.invariants.values())
        return "passed" if self.reached == self.demanded and proven else "failed"

    @property
    def exit_code(self) -> int:
        """0 exactly when the drill passed, otherwise 1."""
        return 0 if self.status == "passed" else 1

    @computed_field  # type: ignore[prop-decorator]
    @property
    def rto_seconds(self) -> float | None:
        """Seconds from the first failed write to the first one that the new writer acknowledged; None without both."""
        if self.marks.first_acknowledged_write is None:
            return None
        return rounded(self.marks.first_acknowledged_write - (self.marks.first_failed_write or 0.0))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def phases(self) -> list[Phase]:
        """The phases of the RTO, which add up to it."""
        origin = "start" if self.outage is None else "outage"
        return phases_of(self.marks, self.aurora_promotion_seconds, origin)

    @property
    def assumed_seconds(self) -> float:
        """How much of the RTO is not measured but assumed: Aurora's delay, as the drill states it."""
        return rounded(sum(phase.seconds for phase in self.phases if phase.modelled))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def parallel_work(self) -> list[Phase]:
        """What ran beside the phases."""
        return parallel_work_of(self.marks)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> str:
        """Two sentences for the person who is woken by it."""
        return f"{self.status.upper()}: {self.headline} {self.loss}"

    @property
    def headline(self) -> str:
        """What happened, and what is wrong if anything is, in one sentence."""
        if self.status == "failed":
            return _failure(self)
        if self.demanded is End.SETTLED:
            done = "it was given back" if self.writer_after == self.writer_before else "it was finished all the same"
            return f"{_what_happened(self)}; {done}, and {self.writer_after} is the writer."
        if self.demanded in (End.FAILED_OVER, End.SWITCHED_OVER):
            when = "" if self.rto_seconds is None else f"{self.rto_seconds:.1f} s later "
            return f"{_what_happened(self)}; {when}clients wrote to {self.writer_after}."
        if self.demanded is End.FULL_CIRCLE:
            return f"{_what_happened(self)}; {_ways(self.legs)}, and {self.writer_after} is the writer again."
        done = {
            End.REHEARSED: "the rehearsal changed nothing",
            End.HELD: "without an approval nothing moved",
        }.get(self.demanded, "nothing moved")
        return f"{_what_happened(self)}; {done}, and {self.writer_before} is still the writer."

    @property
    def loss(self) -> str:
        """What became of the acknowledged writes, in one sentence."""
        lost = "none"
        if self.lost:
            span = "" if self.rpo_seconds is None else f" (the last {self.rpo_seconds:.3f} s)"
            lost = f"{self.lost:,} of {self.acknowledged:,} acknowledged writes{span}"
        again = "" if self.replayed is None else f"; written again from the salvage: {self.replayed:,}"
        return f"Lost: {lost}{again}; duplicated: {f'{self.duplicated:,}' if self.duplicated else 'none'}."

    @property
    def command(self) -> str:
        """The command that runs the same drill again."""
        # Make expands "$" before the shell sees it.
        return f"make drill ARGS={shlex.quote(shlex.join(self.arguments).replace('$', '$$'))}"

    def to_json(self) -> str:
        """Returns the JSON text of result.json, the figures first."""
        fields = self.model_dump(mode="json")
        ordered = {name: fields[name] for name in RESULT_HEAD} | fields
        return json.dumps(ordered, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote; what follows from other fields is computed again."""
        fields = json.loads(text)
        return cls.model_validate({name: fields[name] for name in cls.model_fields})


def plain_name(invariant: str) -> str:
    """Returns an invariant's name in words: ``one_writer`` is "one writer"."""
    return invariant.replace("_", " ")


def _what_happened(result: DrillResult) -> str:
    beside = f" ({', '.join(result.troubles)})" if result.troubles else ""
    if result.outage is None:
        return f"{'A person asked for a switchover' if result.mode == 'switchover' else 'No outage was made'}{beside}"
    outage = OUTAGES.get(result.outage)
    sentence = outage.sentence if outage else f"outage {result.outage} of {{writer}}"
    return sentence.format(writer=result.writer_before, standby=result.standby) + beside


def _ways(legs: Sequence[Leg]) -> str:
    """Says how the writer moved: "failed over, re-protected and failed back"."""
    words = {"failover": "failed over", "re-protection": "re-protected", "failback": "failed back"}
    *first, last = [words[leg.step] for leg in legs] or ["nothing moved"]
    return f"{', '.join(first)} and {last}" if first else last


def _failure(result: DrillResult) -> str:
    reasons = []
    if result.reached != result.demanded:
        reasons.append(f"it had to end as “{result.demanded}” and ended as “{result.reached}”")
    broken = [plain_name(name) for name, held in result.invariants.items() if not held]
    if broken:
        reasons.append(f"broken: {', '.join(broken)}")
    if not result.invariants:
        reasons.append("no invariant was checked")
    writer = "No region takes writes now"
    if result.writer_after:
        writer = f"The writer is now {result.writer_after}"
    return f"{_what_happened(result)}; {'; '.join(reasons)}. {writer}."
