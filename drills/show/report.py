"""The report of a drill: one HTML file without any external link, with a picture of the run.

This module works out where things stand in the picture; the template draws them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from drills.show.timeline import counted, measured_or_modelled, ours_and_assumed
from drills.verdict.events import Kind
from drills.verdict.marks import AURORA_DELAY
from drills.verdict.result import (
    PROMOTION_TARGET_SECONDS,
    RPO_TARGET_SECONDS,
    RTO_TARGET_SECONDS,
    DrillResult,
    plain_name,
)
from handlers.report.page import STYLE
from handlers.report.words import seconds, since

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from drills.verdict.marks import Phase

TEMPLATES = Path(__file__).parent / "templates"

# The picture's measures, in the units of its view box. It is scaled to the width of the page.
WIDTH = 1080
LEFT = 132  # room for the rows' names
RIGHT = 70  # room for a bar's seconds after the last bar
LABEL_HEIGHT = 17
CHART_HEIGHT = 190
STRIP_HEIGHT = 16
BAR_HEIGHT = 15
ROW_HEIGHT = 23
GAP = 14
AXIS_HEIGHT = 40
# The mean width of a letter at the labels' size; in the fonts of common systems, texts come out narrower.
LETTER_WIDTH = 6.4

# The same of the text in the time without writes, which is larger.
GAP_LETTER_WIDTH = 10.4

# Enough of the time before the outage to show the normal rate, without squeezing what follows.
BEFORE_OUTAGE_SECONDS = 15.0
# About as many marks on an axis as can be read at a glance.
TICKS = 8

# What part of the system each phase waits for: bars and events of one part have one colour.
PHASE_KINDS = {
    "Detection": Kind.ALARM,
    "Trigger": Kind.WORKFLOW,
    "Decision": Kind.WORKFLOW,
    "Lease wait": Kind.WORKFLOW,
    "Move": Kind.WORKFLOW,
    AURORA_DELAY: Kind.DATABASE,
    "Promotion": Kind.DATABASE,
    "Reconnect": Kind.CLIENT,
}


@dataclass(frozen=True)
class Label:
    """The name of a moment, on a line of its own height, with a leader down to the chart."""

    x: float
    y: float
    text: str
    time: str
    kind: Kind
    leftwards: bool


@dataclass(frozen=True)
class Area:
    """The commits of one region, stacked on those of the regions before it."""

    region: str
    number: int
    path: str


@dataclass(frozen=True)
class Bar:
    """A rectangle of a row: a phase, or a time in which writes failed."""

    x: float
    y: float
    width: float
    text: str
    kind: Kind
    title: str
    name: str = ""
    modelled: bool = False
    parallel: bool = False
    opacity: float = 1.0


@dataclass(frozen=True)
class LeaseBar:
    """A time in which a region's lease was good."""

    x: float
    width: float
    number: int
    title: str


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Dot:
    """An event on the strip of events."""

    x: float
    kind: Kind
    title: str


@dataclass(frozen=True)
class Gap:
    """The time without writes, from the outage on."""

    x: float
    width: float
    text: str


@dataclass(frozen=True)
class Picture:
    """Everything the template draws, in the units of the view box."""

    height: float
    chart_top: float
    chart_bottom: float
    failures_top: float
    events_middle: float
    rows_bottom: float
    lease_top: float
    lease: list[LeaseBar]
    time_ticks: list[Tick]
    rate_ticks: list[Tick]
    labels: list[Label]
    areas: list[Area]
    failures: list[Bar]
    dots: list[Dot]
    bars: list[Bar]
    gap: Gap | None
    description: str
    width: int = WIDTH
    left: int = LEFT
    right: int = WIDTH - RIGHT
    strip_height: int = STRIP_HEIGHT
    bar_height: int = BAR_HEIGHT


class _TimeAxis:
    """Turns seconds since the outage into a position in the picture."""

    def __init__(self, result: DrillResult) -> None:
        ends = [result.throughput.ended_s, *(phase.ended_s for phase in result.phases + result.parallel_work)]
        self.start = max(result.throughput.started_s, -BEFORE_OUTAGE_SECONDS)
        self.end = max([*ends, self.start + 1.0])

    def __call__(self, at: float) -> float:
        inside = min(max(at, self.start), self.end)
        return LEFT + (inside - self.start) / (self.end - self.start) * (WIDTH - RIGHT - LEFT)

    def shows(self, at: float) -> bool:
        return self.start <= at <= self.end


def render(result: DrillResult) -> str:
    """Returns the text of report.html."""
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, STYLE.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "seconds": seconds,
        "since": since,
        "plain_name": plain_name,
        "origin": measured_or_modelled,
        "counted": counted,
        "ours_and_assumed": ours_and_assumed,
        "sentence": lambda text: text[:1].upper() + text[1:],
        "is_data": lambda text: text.startswith(("{", "[")),
        "number": lambda number: f"{number:,}",
        "units": lambda value: f"{value:.1f}",
    }
    return environment.get_template("report.html").render(
        result=result,
        picture=picture_of(result),
        rto_target=RTO_TARGET_SECONDS,
        rpo_target=RPO_TARGET_SECONDS,
        promotion_target=PROMOTION_TARGET_SECONDS,
    )


def picture_of(result: DrillResult) -> Picture:
    """Lays out the picture: labels, commits, failures, events and phases, one below the other on one time axis."""
    x = _TimeAxis(result)
    labels, lines = _labels(result, x)
    chart_top = lines * LABEL_HEIGHT + GAP
    chart_bottom = chart_top + CHART_HEIGHT
    failures_top = chart_bottom + GAP
    events_middle = failures_top + STRIP_HEIGHT + GAP + STRIP_HEIGHT / 2
    lease_top = events_middle + STRIP_HEIGHT / 2 + GAP
    lease = _lease(result, x)
    rows_top = lease_top + (STRIP_HEIGHT + GAP if lease else 0)
    bars = _bars(result, x, rows_top)
    rows_bottom = rows_top + len(bars) * ROW_HEIGHT
    top_rate, rate_ticks = _rates(result, chart_bottom)
    return Picture(
        height=rows_bottom + AXIS_HEIGHT,
        chart_top=chart_top,
        chart_bottom=chart_bottom,
        failures_top=failures_top,
        events_middle=events_middle,
        rows_bottom=rows_bottom,
        lease_top=lease_top,
        lease=lease,
        time_ticks=[Tick(x(at), f"{at:+g}" if at else "0") for at in ticks(x.start, x.end)],
        rate_ticks=rate_ticks,
        labels=labels,
        areas=_areas(result, x, chart_bottom, top_rate),
        failures=_failures(result, x, failures_top),
        dots=[
            Dot(x(event.at), event.kind, f"{since(event.at)}: {event.text}")
            for event in sorted(result.events, key=lambda event: event.kind == Kind.OUTAGE)  # the outage on top
            if x.shows(event.at)
        ],
        bars=bars,
        gap=_gap(result, x),
        description=_description(result),
    )


def ticks(start: float, end: float) -> list[float]:
    """Returns about `TICKS` round numbers from start to end."""
    rough = (end - start) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.ceil(start / step), math.floor(end / step)
    return [round(number * step, 6) for number in range(first, last + 1)]


def _labels(result: DrillResult, x: _TimeAxis) -> tuple[list[Label], int]:
    """Places the names of the marks on lines so that none covers another; returns them and the number of lines.

    The latest mark gets the lowest line, and an earlier one the lowest line on which it ends before all labels
    there and above. A label starts at its leader, so no leader crosses a label on its way down.
    """
    moments = _moments(result)
    free_until: list[float] = []  # for each line, from the lowest: where its leftmost label starts
    placed = []
    for at, text, kind in sorted(moments, key=lambda moment: -moment[0]):
        place, time = x(at), since(at)
        width = (len(text) + len(time) + 2) * LETTER_WIDTH
        leftwards = place + width > WIDTH
        start, end = (place - width, place) if leftwards else (place, place + width)
        line = next((n for n in range(len(free_until)) if end < min(free_until[n:])), len(free_until))
        if line == len(free_until):
            free_until.append(start)
        free_until[line] = start
        placed.append((line, Label(place, 0, text, time, kind, leftwards)))
    lines = len(free_until)
    return [
        Label(label.x, (lines - line) * LABEL_HEIGHT, label.text, label.time, label.kind, label.leftwards)
        for line, label in placed
    ], lines


def _moments(result: DrillResult) -> list[tuple[float, str, Kind]]:
    marks = result.marks
    new_writer = result.legs[0].writer if result.legs else result.writer_after  # the marks are of the first move
    moments: list[tuple[float | None, str, Kind]] = [
        (0.0 if result.outage else None, f"outage: {result.outage}", Kind.OUTAGE),
        (marks.verdict, "found down", Kind.ALARM),
        (marks.alarm, "alarm", Kind.ALARM),
        (marks.execution_started, "workflow started", Kind.WORKFLOW),
        (marks.lease_over, "old lease over", Kind.WORKFLOW),
        (marks.dns_switch_started, "writer switch engaged", Kind.DNS),
        (marks.detach_called, "detach called", Kind.DATABASE),
        (marks.dns_switched, f"DNS answers {new_writer}", Kind.DNS),
        (marks.writes_possible, f"{new_writer} takes writes", Kind.DATABASE),
        (marks.first_acknowledged_write, "first acknowledged write", Kind.CLIENT),
        (marks.execution_ended, "workflow ended", Kind.WORKFLOW),
    ]
    return [(at, text, kind) for at, text, kind in moments if at is not None]


def _rates(result: DrillResult, bottom: float) -> tuple[float, list[Tick]]:
    """Returns the rate at the top of the chart and the marks of the rate axis."""
    totals = [sum(rates) for rates in zip(*result.throughput.commits_per_second.values(), strict=True)]
    highest = max([*totals, 1.0]) * 1.08  # a little air above the highest rate
    marks = [rate for rate in ticks(0, highest) if rate == int(rate)][:: 2 if highest > TICKS / 2 else 1]
    return highest, [Tick(bottom - rate / highest * CHART_HEIGHT, f"{rate:,.0f}") for rate in marks]


def _areas(result: DrillResult, x: _TimeAxis, bottom: float, top_rate: float) -> list[Area]:
    """Stacks the regions' commits as steps, the writer before the outage at the bottom."""
    throughput = result.throughput
    regions = _regions(result)
    below = [0.0] * len(throughput.failures_per_second)
    areas = []
    for number, region in enumerate(regions):
        above = [low + rate for low, rate in zip(below, throughput.commits_per_second[region], strict=True)]
        upper = list(_steps(throughput.started_s, throughput.bucket_s, above))
        lower = list(_steps(throughput.started_s, throughput.bucket_s, below))
        points = [(x(at), bottom - rate / top_rate * CHART_HEIGHT) for at, rate in upper + lower[::-1]]
        path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points) + "Z" if points else ""
        areas.append(Area(region, number, path))
        below = above
    return areas


def _steps(start: float, width: float, rates: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Yields the corners of a step line; neighbours of the same rate make one step."""
    for number, rate in enumerate(rates):
        if number == 0 or rate != rates[number - 1]:
            yield start + number * width, rate
        if number == len(rates) - 1 or rate != rates[number + 1]:
            yield start + (number + 1) * width, rate


def _failures(result: DrillResult, x: _TimeAxis, top: float) -> list[Bar]:
    throughput = result.throughput
    most = max([*throughput.failures_per_second, 1.0])
    bars = []
    for number, rate in enumerate(throughput.failures_per_second):
        start = throughput.started_s + number * throughput.bucket_s
        left, right = x(start), x(start + throughput.bucket_s)
        if rate and right > left:
            title = f"{since(start)}: {rate:.0f} failed writes per second"
            opacity = 0.25 + 0.75 * rate / most  # even the fewest failures can be seen
            bars.append(Bar(left, top, right - left, "", Kind.OUTAGE, title, opacity=opacity))
    return bars


def _lease(result: DrillResult, x: _TimeAxis) -> list[LeaseBar]:
    regions = _regions(result)
    return [
        LeaseBar(
            x(span.started_s),
            max(x(span.ended_s) - x(span.started_s), 1.5),
            regions.index(span.region),
            f"{span.region} held the lease from {since(span.started_s)} to {since(span.ended_s)}",
        )
        for span in result.lease
        if span.ended_s > x.start and span.started_s < x.end and span.region in regions
    ]


def _regions(result: DrillResult) -> list[str]:
    """Returns the regions in the order of their colours, the writer before the outage first."""
    return sorted(result.throughput.commits_per_second, key=lambda region: region != result.writer_before)


def _gap(result: DrillResult, x: _TimeAxis) -> Gap | None:
    if result.outage and result.rto_seconds is not None:
        start, end = x(result.marks.first_failed_write or 0), x(result.marks.first_acknowledged_write or 0)
        by_name = " by the name" if result.rto_by_hosts_seconds and result.rto_by_name_seconds else ""
        text, parts = f"{seconds(result.rto_seconds)} without writes{by_name}", _parts(result)
        fits = len(text + parts) * GAP_LETTER_WIDTH < end - start
        return Gap(start, end - start, text + parts if fits else text)
    if result.outage and result.writer_after is None:
        return Gap(x(0), x(x.end) - x(0), "no region takes writes")
    return None


def _parts(result: DrillResult) -> str:
    return f": {ours_and_assumed(result.rto_seconds, result.assumed_seconds)}" if result.assumed_seconds else ""


def _bars(result: DrillResult, x: _TimeAxis, top: float) -> list[Bar]:
    """Returns the bars, one below another: the phases of the RTO, then what ran beside them."""
    rows = [(phase, False) for phase in result.phases] + [(phase, True) for phase in result.parallel_work]
    return [_bar(phase, x, top + row * ROW_HEIGHT, parallel) for row, (phase, parallel) in enumerate(rows)]


def _bar(phase: Phase, x: _TimeAxis, y: float, parallel: bool) -> Bar:
    left = x(phase.started_s)
    return Bar(
        x=left,
        y=y,
        width=max(x(phase.ended_s) - left, 1.5),  # even a phase of no length can be seen
        text=seconds(phase.seconds),
        kind=PHASE_KINDS.get(phase.name, Kind.DNS),
        title=f"{phase.name}: {seconds(phase.seconds, 3)}, {measured_or_modelled(phase)} ({phase.meaning})",
        name=phase.name,
        modelled=phase.modelled,
        parallel=parallel,
    )


def _description(result: DrillResult) -> str:
    """Returns the picture in words, for those who cannot see it."""
    phases = ", ".join(f"{phase.name} {seconds(phase.seconds)}" for phase in result.phases) or "none"
    return (
        f"Commits per second by answering region, failed writes, events, lease and phases over the time since "
        f"{'the outage' if result.outage else 'the start'}. Phases: {phases}. {result.verdict}"
    )
