"""The result of one drill: what happened, what was measured, whether it passed; and its folder on disk.

Every time here is in virtual seconds since the outage (since the start of the drill when it had no outage),
rounded to milliseconds. What happened before the outage has a negative time.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, FiniteFloat, computed_field, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# The targets of the design's section 1. A drill over a target is shown as such; only invariants can fail it.
RTO_TARGET_SECONDS = 60.0
PROMOTION_TARGET_SECONDS = 60.0
RPO_TARGET_SECONDS = 1.0

# Milliseconds: finer than any model of the lab, and short enough to read.
TIME_DECIMALS = 3

# The fields of result.json that people look for, in the order they look.
RESULT_HEAD = (
    "status",
    "verdict",
    "mode",
    "outage",
    "seed",
    "speed",
    "execution_status",
    "rto_seconds",
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

RESULT_FILE = "result.json"
REPORT_FILE = "report.html"
LATEST = "latest"


def _rounded(seconds: float) -> float:
    return round(seconds, TIME_DECIMALS)


Seconds = Annotated[FiniteFloat, AfterValidator(_rounded)]


class _Record(BaseModel):
    """Immutable and checked: a wrong field name or a value that is not a finite number is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class End(StrEnum):
    """How a drill can end, as an operator would put it."""

    FAILED_OVER = "failed over"
    SWITCHED_OVER = "switched over"
    REHEARSED = "rehearsed"
    REPROTECTED = "re-protected"
    FULL_CIRCLE = "full circle"
    NOTHING_MOVED = "nothing moved"
    HELD = "held for want of approval"
    REFUSED = "refused"
    ABORTED = "aborted"
    NEEDS_PERSON = "needs a person"
    TIMED_OUT = "timed out"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Outage:
    """One way in which a region can fail.

    Attributes
    ----------
    sentence
        What happens, with the writer and the standby region by name.
    demanded
        The end that section 9 of the design demands of a failover.
    starts_workflow
        Whether the alarms start the workflow, so that it can be rehearsed with it.
    clients_lost
        Which regions' clients cannot write by the name any more: ``writer``, ``standby`` or neither.
    """

    sentence: str
    demanded: End
    starts_workflow: bool
    clients_lost: Literal["writer", "standby"] | None


OUTAGES = {
    "kill": Outage("{writer} died", End.FAILED_OVER, True, "writer"),
    "hang": Outage("{writer} accepted everything and answered nothing", End.FAILED_OVER, True, "writer"),
    "database": Outage("the database of {writer} failed", End.FAILED_OVER, True, None),
    "isolate": Outage("{writer} was cut off from every other region", End.FAILED_OVER, True, "writer"),
    "lag": Outage("{standby} fell behind and {writer} died", End.FAILED_OVER, True, "writer"),
    "link": Outage("{writer} and {standby} no longer saw each other", End.NOTHING_MOVED, True, "standby"),
    "standby": Outage("{standby} died", End.NOTHING_MOVED, False, "standby"),
    "monitor": Outage("the monitors of both regions died", End.NOTHING_MOVED, False, None),
}
NO_OUTAGE = "none"
CIRCLE = "circle"
MODES = ("failover", "switchover", "rehearsal", CIRCLE)
# After which outages a circle goes on: the old region must come back with a database that can be read.
CIRCLE_OUTAGES = ("isolate", "kill", "hang", "database")
APPROVALS = ("yes", "no", "never")


class UndemandedError(ValueError):
    """The design demands no end for these options together; the message says which go together."""


def demanded_end(mode: str, outage: str | None, approve: str = "yes") -> End:
    """Return the end that section 9 of the design demands.

    Parameters
    ----------
    mode
        One of `MODES`.
    outage
        One of `OUTAGES`; None when everything is healthy.
    approve
        What the person does who is asked, one of `APPROVALS`.

    Raises
    ------
    UndemandedError
        When the design demands nothing for them.
    """
    if outage is None and mode in ("switchover", "rehearsal"):
        return End.SWITCHED_OVER if mode == "switchover" else End.REHEARSED
    kind = OUTAGES.get(outage or "")
    if mode == CIRCLE and outage in CIRCLE_OUTAGES and approve == "yes":
        return End.FULL_CIRCLE
    if kind and mode == "rehearsal" and kind.starts_workflow and kind.demanded is End.FAILED_OVER:
        return End.REHEARSED
    if kind and mode == "failover":
        return End.HELD if outage == "lag" and approve != "yes" else kind.demanded
    failing = ", ".join(OUTAGES)
    raise UndemandedError(
        f"mode {mode} with outage {outage or NO_OUTAGE} has no demanded end: a failover takes one of the outages "
        f"{failing}; a switchover takes {NO_OUTAGE}; a rehearsal takes {NO_OUTAGE} or an outage that demands a "
        f"failover; a circle takes {', '.join(CIRCLE_OUTAGES)}, and a person who approves"
    )


class Kind(StrEnum):
    """What part of the system an event belongs to."""

    LAB = "lab"
    OUTAGE = "outage"
    ALARM = "alarm"
    WORKFLOW = "workflow"
    DATABASE = "database"
    DNS = "dns"
    CLIENT = "client"
    NOTIFICATION = "notification"


class Event(_Record):
    """One line of the timeline.

    ``at`` is a time of the drill's clock (virtual seconds since 1970) while the drill runs, and seconds since
    the outage in a result.
    """

    at: Seconds
    kind: Kind
    text: str
    detail: str = ""


class Marks(_Record):
    """The moments that bound the phases of a drill, in seconds since the outage; None never came."""

    first_failed_write: Seconds | None = None
    """When it began, which may be just before the outage that failed it."""
    alarm: Seconds | None = None
    """The composite alarm went to ALARM."""
    execution_started: Seconds | None = None
    lease_wait_started: Seconds | None = None
    """The assessment was over, and the workflow began to wait for the end of the old writer's lease."""
    lease_over: Seconds | None = None
    detach_called: Seconds | None = None
    """The detach, or the switchover, was called."""
    writes_possible: Seconds | None = None
    """The new writer region's cluster takes writes."""
    dns_switch_started: Seconds | None = None
    """The writer switch began to answer "engaged"."""
    dns_switched: Seconds | None = None
    """The writer name's answer is the new region."""
    first_acknowledged_write: Seconds | None = None
    """The first write acknowledged after the outage, through the writer name."""
    execution_ended: Seconds | None = None

    @property
    def promotion_seconds(self) -> float | None:
        """Seconds from the alarm until the new writer takes writes; None when either never came."""
        if self.alarm is None or self.writes_possible is None:
            return None
        return _rounded(self.writes_possible - self.alarm)


MarkName = Literal[
    "first_failed_write",
    "alarm",
    "execution_started",
    "lease_wait_started",
    "lease_over",
    "detach_called",
    "writes_possible",
    "dns_switch_started",
    "dns_switched",
    "first_acknowledged_write",
    "execution_ended",
]


class Phase(_Record):
    """A stretch of the drill, with what it measures from and to."""

    name: str
    started_s: Seconds
    seconds: Seconds
    modelled: bool
    meaning: str

    @property
    def ended_s(self) -> float:
        """The end of the phase, in seconds since the outage."""
        return _rounded(self.started_s + self.seconds)


AURORA_DELAY = "Aurora's delay"


def phases_of(marks: Marks, aurora_promotion_seconds: float, origin: str = "outage") -> list[Phase]:
    """Cut the way to the first acknowledged write into phases that follow one another.

    The first phase starts with the first failed write (with the outage when none is known), so the seconds of
    all phases add up to the RTO as section 1 of the design defines it. What ran beside them does not lengthen
    the outage and is in `parallel_work_of`: a DNS switch that was finished before the promotion takes 0 s
    here. A moment that never came joins its phase to the next one; after the last moment there are no phases.

    Parameters
    ----------
    marks : Marks
        The moments of the drill.
    aurora_promotion_seconds : float
        The delay that stands in for Aurora's own promotion. It starts with the detach and is the one modelled
        part of the promotion; the rest of the promotion is measured.
    origin : str
        What happened at 0 s.
    """
    reached, last = 0.0, math.inf
    if marks.first_failed_write is not None:
        reached, origin = marks.first_failed_write, "first failed write"
    if marks.first_acknowledged_write is not None:
        last = marks.first_acknowledged_write
    delay_ended = None
    if marks.detach_called is not None and marks.writes_possible is not None and aurora_promotion_seconds > 0:
        delay_ended = min(marks.detach_called + aurora_promotion_seconds, marks.writes_possible)
    decided = (marks.lease_wait_started, "assessment over")
    moving = (marks.detach_called, "detach called")
    if marks.lease_wait_started is None:
        decided, moving = moving, (None, "")
    if marks.detach_called is None:
        decided = (marks.execution_ended, "workflow ended")
    boundaries: list[tuple[str, float | None, str]] = [
        ("Detection", marks.alarm, "composite alarm"),
        ("Trigger", marks.execution_started, "workflow started"),
        ("Decision", *decided),
        ("Lease wait", marks.lease_over, "old writer's lease over"),
        ("Move", *moving),
        (AURORA_DELAY, delay_ended, "stated delay over"),
        ("Promotion", marks.writes_possible, "new writer takes writes"),
        ("DNS switch", marks.dns_switched, "DNS answers with the new writer"),
        ("Reconnect", marks.first_acknowledged_write, "first acknowledged write"),
    ]
    phases = []
    for name, mark, moment in boundaries:
        if mark is None:
            continue
        until = max(reached, min(mark, last))
        meaning = f"{origin} → {moment}"
        if mark < reached:
            meaning = "finished earlier, beside the phases above"
        phases.append(
            Phase(
                name=name,
                started_s=reached,
                seconds=until - reached,
                modelled=name == AURORA_DELAY,
                meaning=meaning,
            )
        )
        reached, origin = until, moment if mark >= reached else origin
    return phases


def parallel_work_of(marks: Marks) -> list[Phase]:
    """Return what ran beside the phases, from its real start to its real end."""
    if marks.dns_switch_started is None or marks.dns_switched is None:
        return []
    # A health check may see the switch before the step that engaged it has returned.
    started = min(marks.dns_switch_started, marks.dns_switched)
    return [
        Phase(
            name="DNS in parallel",
            started_s=started,
            seconds=marks.dns_switched - started,
            modelled=False,
            meaning="writer switch engaged → DNS answers with the new writer",
        )
    ]


class Throughput(_Record):
    """Commits by answering region and failed writes, per virtual second, in buckets of equal width."""

    started_s: Seconds
    bucket_s: Seconds
    commits_per_second: dict[str, list[FiniteFloat]]
    failures_per_second: list[FiniteFloat]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if self.bucket_s <= 0:
            raise ValueError(f"bucket_s is {self.bucket_s}: give a width above 0 seconds")
        for region, rates in self.commits_per_second.items():
            if len(rates) != len(self.failures_per_second):
                raise ValueError(
                    f"commits_per_second[{region!r}] has {len(rates)} buckets and failures_per_second has "
                    f"{len(self.failures_per_second)}: count both over the same time"
                )
        return self

    @property
    def ended_s(self) -> float:
        """The end of the last bucket, in seconds since the outage."""
        return _rounded(self.started_s + self.bucket_s * len(self.failures_per_second))

    @classmethod
    def count(
        cls,
        commits: Mapping[str, Iterable[float]],
        failures: Iterable[float],
        started_s: float,
        ended_s: float,
        bucket_s: float = 1.0,
    ) -> Self:
        """Count single writes into buckets.

        Parameters
        ----------
        commits : Mapping[str, Iterable[float]]
            By answering region, the time of each acknowledgement (seconds since the outage).
        failures : Iterable[float]
            The time of each failed write.
        started_s, ended_s : float
            The time to cover; writes outside of it are left out. A last bucket that the time does not fill is
            left out too, because its rate would look like a fall.
        bucket_s : float
            The width of a bucket in virtual seconds.
        """
        # Half a millisecond keeps 29.999999 buckets, which rounding of floats makes of 30, from losing one.
        buckets = math.floor((ended_s - started_s) / bucket_s + 0.0005)

        def rates(moments: Iterable[float]) -> list[float]:
            counts = [0] * buckets
            for moment in moments:
                bucket = math.floor((moment - started_s) / bucket_s)
                if 0 <= bucket < buckets:
                    counts[bucket] += 1
            return [round(count / bucket_s, 1) for count in counts]

        return cls(
            started_s=started_s,
            bucket_s=bucket_s,
            commits_per_second={region: rates(moments) for region, moments in commits.items()},
            failures_per_second=rates(failures),
        )


class Notes(_Record):
    """What the figures rest on, one sentence each."""

    measured: list[str]
    modelled: list[str]
    limits: list[str]


class Leg(_Record):
    """One step of a drill that goes in a circle.

    ``started_s`` to the end is the step as people see it: from the outage, or from the start of its workflow, until
    clients write again, or until the workflow has ended. ``writer`` and ``epoch`` are those after it. ``lost`` counts
    acknowledged writes that had not been replicated, ``salvaged`` those of them that were in the files which the
    re-protection kept.
    """

    step: Literal["failover", "re-protection", "failback"]
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


class DrillResult(_Record):
    """Everything known about one finished drill.

    ``arguments`` are the command line's, complete enough to run the same drill again. ``invariants`` says of
    each invariant whether it held, ``invariant_meanings`` what it promises. ``settings`` are the product
    settings that bear on the figures, ``gap_seconds`` lies between the old writer's last acknowledgement and the new
    one's first, ``both_wrote`` counts the old one's acknowledgements after that, ``run_record`` is what the workflow
    recorded of itself, ``legs`` are the steps of a circle, ``replayed`` counts the lost writes that a person wrote
    again from the files which the re-protections kept, ``problems`` says what broke, a sentence each, and
    ``tolerated_errors`` are the errors that were seen and expected.
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
    legs: list[Leg] = []
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
        return _rounded(self.marks.first_acknowledged_write - (self.marks.first_failed_write or 0.0))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def phases(self) -> list[Phase]:
        """The phases of the RTO, which add up to it."""
        origin = "start" if self.outage is None else "outage"
        return phases_of(self.marks, self.aurora_promotion_seconds, origin)

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
        """What happened, and what is wrong if anything is, in a sentence."""
        if self.status == "failed":
            return _failure(self)
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
        """What became of the acknowledged writes, in a sentence."""
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
        """Return the JSON text of result.json, the figures first."""
        fields = self.model_dump(mode="json")
        ordered = {name: fields[name] for name in RESULT_HEAD} | fields
        return json.dumps(ordered, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; what follows from the other fields is worked out again."""
        fields = json.loads(text)
        return cls.model_validate({name: fields[name] for name in cls.model_fields})


def plain_name(invariant: str) -> str:
    """Return an invariant's name in words: ``one_writer`` is "one writer"."""
    return invariant.replace("_", " ")


def _what_happened(result: DrillResult) -> str:
    if result.outage is None:
        return "A person asked for a switchover" if result.mode == "switchover" else "No outage was made"
    outage = OUTAGES.get(result.outage)
    sentence = outage.sentence if outage else f"outage {result.outage} of {{writer}}"
    return sentence.format(writer=result.writer_before, standby=result.standby)


def _ways(legs: Sequence[Leg]) -> str:
    """Say how the writer moved: "failed over, re-protected and failed back"."""
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


def discard_latest(root: Path) -> None:
    """Remove ``root/latest``, so that a drill that crashes does not leave an older one's result there."""
    latest = root / LATEST
    if latest.is_dir() and not latest.is_symlink():
        shutil.rmtree(latest)
    else:
        latest.unlink(missing_ok=True)


def save(result: DrillResult, report: str, root: Path) -> Path:
    """Write a drill's result and report into a folder of its own and make it the latest.

    ``root/<start of the drill>/`` gets both files; then ``root/latest`` becomes a link to it (a copy where
    the file system has no links). Whoever looks at ``latest`` finds both files, whole, or nothing.

    Parameters
    ----------
    result : DrillResult
    report : str
        The text of report.html.
    root : Path
        The folder of all drills, ``build/drill``.

    Returns
    -------
    Path
        ``root/latest``.
    """
    folder = _new_folder(root, result.started_at)
    _write(folder / RESULT_FILE, result.to_json())
    _write(folder / REPORT_FILE, report)
    latest = root / LATEST
    link = folder / LATEST
    try:
        link.symlink_to(folder.name, target_is_directory=True)
    except OSError:  # no links on this file system, or not allowed
        discard_latest(root)
        shutil.copytree(folder, latest)
        return latest
    if latest.is_dir() and not latest.is_symlink():  # a copy made before
        shutil.rmtree(latest)
    link.replace(latest)
    return latest


def _new_folder(root: Path, started_at: datetime) -> Path:
    stamp = started_at.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for number in range(1, 1000):  # drills started within one second of each other
        folder = root / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{root}/{stamp}-999 exists: remove the old drills in {root}")


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        # mkstemp makes files for their owner only; a report is for everyone.
        os.fchmod(descriptor, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
