"""The live timeline in the terminal: what happened when, what the drill is waiting for, and the summary at the end.

In a terminal the events scroll above one line per wait. Elsewhere (a pipe, CI) everything is plain lines
without control characters. Events may come from any thread.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TextIO

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from drills.verdict.events import Event, Kind
from drills.verdict.folder import REPORT_FILE
from drills.verdict.marks import Marks
from drills.verdict.result import RPO_TARGET_SECONDS, RTO_TARGET_SECONDS, DrillResult, plain_name
from handlers.report.words import seconds, since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from drills.verdict.marks import MarkName, Phase
    from drills.world.clock import Clock
    from drills.world.pulse import Load

# A spinner's pace for the eye; 8 renderings a second cost a few per cent of one core.
TERMINAL_REFRESH_SECONDS = 0.125
# In a log: often enough to show that the drill lives, rarely enough not to bury its events.
LOG_REFRESH_SECONDS = 5.0
# The refresh thread sleeps for at most one period; a longer wait means that the terminal itself blocks.
REFRESH_STOP_SECONDS = 2.0
# A log has no width; tables in it are cut to what a diff or a CI page shows without scrolling.
LOG_WIDTH_COLUMNS = 110

# Widths of the timeline's columns: "1234.5 s", "+1234.5 s", and the longest kind.
ELAPSED_COLUMNS = 8
SINCE_ZERO_COLUMNS = 9
KIND_COLUMNS = max(len(kind) for kind in Kind)

KIND_STYLES = {
    Kind.LAB: "dim",
    Kind.OUTAGE: "bold red",
    Kind.ALARM: "yellow",
    Kind.WORKFLOW: "magenta",
    Kind.DATABASE: "blue",
    Kind.DNS: "cyan",
    Kind.CLIENT: "green",
    Kind.NOTIFICATION: "bright_black",
}


@dataclass(frozen=True)
class _Wait:
    what: str
    since: float
    at_most: float | None


def console_for(file: TextIO) -> Console:
    """Returns a console that uses colour and movement in a terminal, and neither anywhere else."""
    if hasattr(file, "reconfigure"):
        # A terminal that lacks a character shows "?" instead of ending the drill.
        file.reconfigure(errors="replace")
    if file.isatty() and os.environ.get("TERM") != "dumb":
        return Console(file=file, highlight=False)
    return Console(file=file, highlight=False, force_terminal=False, color_system=None, width=LOG_WIDTH_COLUMNS)


class Timeline:
    """Shows events and waits as they come, and keeps the events for the report.

    Use it as a context manager around the whole drill, so that the terminal is left as it was found:

    >>> with Timeline(Clock.started_now(speed=1)) as timeline:
    ...     timeline.event(Kind.OUTAGE, "us-east-1 is gone", mark="zero")
    ...     with timeline.waiting("the alarm", at_most=60):
    ...         alarm.wait()
    ...     timeline.event(Kind.ALARM, "writer-down-usw2-dev → ALARM", mark="alarm")

    Parameters
    ----------
    clock : Clock
        Gives the virtual time of the events.
    zero_name : str
        What the moment marked "zero" is called in the heading.
    file : TextIO
        Where to write; standard output by default.
    """

    def __init__(self, clock: Clock, zero_name: str = "outage", file: TextIO | None = None) -> None:
        self.console = console_for(sys.stdout if file is None else file)
        self._clock = clock
        self._zero_name = zero_name
        self._started = clock.now()
        self._lock = threading.RLock()
        self._events: list[Event] = []
        self._marks: dict[str, float] = {}
        self._waits: list[_Wait] = []
        self._load: Callable[[], Load] | None = None
        self._stop = threading.Event()
        self._refresher = threading.Thread(target=self._refresh, name="timeline", daemon=True)
        self._spinner = Spinner("dots", style="yellow")
        self._live: Live | None = None
        if self.console.is_terminal:
            # Refreshed by our own thread: rich's would ask for the load while it holds rich's lock, and a
            # client that reports an event under the workload's lock would then wait for it for ever.
            self._live = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._show(_row(self.console.is_terminal, "elapsed", self._zero_name, "", "", "dim"))
        if self._live:
            self._live.start()
        self._refresher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        try:
            self._refresher.join(REFRESH_STOP_SECONDS)
        finally:
            if self._live:
                self._live.stop()

    def watch(self, load: Callable[[], Load]) -> None:
        """Shows this load in the waits' lines. It is called from another thread and must return at once."""
        self._load = load

    def event(
        self,
        kind: Kind,
        text: str,
        detail: str = "",
        *,
        at: float | None = None,
        mark: MarkName | Literal["zero"] | None = None,
    ) -> Event:
        """Records an event and shows it.

        Parameters
        ----------
        kind : Kind
        text : str
            What happened, in one line.
        detail : str
            More about it, for the report only.
        at : float
            When, as a time of the clock (virtual seconds since 1970); now by default.
        mark : str
            The moment of `Marks` that this event is; "zero" (the outage) makes it the zero of all times. The
            first event with a mark counts.
        """
        with self._lock:
            moment = self._clock.now() if at is None else at
            event = Event(at=moment, kind=kind, text=_one_line(text), detail=detail)
            self._events.append(event)
            if mark:
                self._marks.setdefault(mark, event.at)
            self._show(self._line(event))
            return event

    @contextmanager
    def waiting(self, what: str, at_most: float | None = None) -> Iterator[None]:
        """Shows what the drill is waiting for, how long it has waited, and the load, until the block ends.

        Parameters
        ----------
        what : str
            Completes "waiting for ...".
        at_most : float
            The virtual seconds after which the wait is given up, shown beside the elapsed ones.
        """
        wait = _Wait(_one_line(what), self._clock.now(), at_most)
        with self._lock:
            self._waits.append(wait)
        try:
            yield
        finally:
            with self._lock:
                self._waits = [other for other in self._waits if other is not wait]

    @property
    def zero(self) -> float:
        """The clock's time of the mark "zero", or of the timeline's start as long as there is none."""
        with self._lock:
            return self._marks.get("zero", self._started)

    def events(self) -> list[Event]:
        """Returns the events so far in the order of their times, which are now in seconds since `zero`."""
        zero = self.zero
        with self._lock:
            events = [event.model_copy(update={"at": round(event.at - zero, 3)}) for event in self._events]
        return sorted(events, key=lambda event: event.at)

    def marks(self, **measured: float | None) -> Marks:
        """Returns the marks in seconds since `zero`.

        Parameters
        ----------
        measured : float or None
            Marks that were not found by an event, in the same seconds; they replace those of events.
        """
        zero = self.zero
        with self._lock:
            seen = {name: at - zero for name, at in self._marks.items() if name != "zero"}
        return Marks.model_validate(seen | measured)

    def summary(self, result: DrillResult, folder: Path) -> None:
        """Shows the summary of a finished drill whose result and report are in a folder."""
        for line in summary_of(result, folder):
            self._show(line)

    def _show(self, line: Text | Table) -> None:
        if self.console.is_terminal:
            self.console.print(line)
            return
        # A log's lines are as long as they need to be, without the blanks that fill a table's cells.
        with self.console.capture() as captured:
            self.console.print(line, soft_wrap=isinstance(line, Text))
        with self._lock:
            self.console.file.writelines(f"{row.rstrip()}\n" for row in captured.get().splitlines())
            self.console.file.flush()

    def _line(self, event: Event) -> Text | Table:
        elapsed = f"{event.at - self._started:.1f} s"
        zero = self._marks.get("zero")
        since_zero = "" if zero is None else since(event.at - zero)
        return _row(self.console.is_terminal, elapsed, since_zero, event.kind, event.text, KIND_STYLES[event.kind])

    def _refresh(self) -> None:
        """Keeps the lines of the waits up to date until the end (in the refresh thread)."""
        period = TERMINAL_REFRESH_SECONDS if self._live else LOG_REFRESH_SECONDS
        while not self._stop.wait(period):
            with self._lock:
                waits = list(self._waits)
            # The load is asked for with no lock held: see __init__.
            load = self._load() if waits and self._load else None
            lines = [self._progress(wait) for wait in waits]
            if self._live:
                lines = [self._with_spinner(line) for line in lines]
                if load:
                    lines.append(Text("    ").append_text(_describe(load)))
                for line in lines:  # a line that wraps would make the picture jump
                    line.no_wrap, line.overflow = True, "ellipsis"
                self._live.update(Group(*lines), refresh=True)
            else:
                for line in lines:
                    rates = Text.assemble("  ", _describe(load)) if load else Text()
                    self._show(Text.assemble("  ... ", line, rates))

    def _progress(self, wait: _Wait) -> Text:
        elapsed = f"{self._clock.now() - wait.since:.0f} s"
        if wait.at_most is not None:
            elapsed += f" of at most {wait.at_most:.0f} s"
        return Text.assemble("waiting for ", (wait.what, "bold"), f"  {elapsed}")

    def _with_spinner(self, line: Text) -> Text:
        frame = self._spinner.render(time.monotonic())
        spinner = frame if isinstance(frame, Text) else Text()
        return Text.assemble("  ", spinner, " ", line)


def _describe(load: Load) -> Text:
    rates = ", ".join(f"{region} {rate:.0f}" for region, rate in load.commits_per_second.items())
    failing = f"{load.failing_clients} of {load.clients} clients failing"
    return Text.assemble((f"commits/s {rates}  ", "dim"), (failing, "red" if load.failing_clients else "dim"))


def _row(in_terminal: bool, elapsed: str, since_zero: str, kind: str, text: str, style: str) -> Text | Table:
    """Returns one line of the timeline; in a terminal, long texts wrap inside their column."""
    if not in_terminal:
        times = f"{elapsed:>{ELAPSED_COLUMNS}}  {since_zero:>{SINCE_ZERO_COLUMNS}}"
        return Text(f"{times}  {kind:<{KIND_COLUMNS}}  {text}".rstrip())
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(justify="right", min_width=ELAPSED_COLUMNS, style="dim")
    row.add_column(justify="right", min_width=SINCE_ZERO_COLUMNS)
    row.add_column(min_width=KIND_COLUMNS, style=style)
    row.add_column(style="bold red" if kind == Kind.OUTAGE else "")
    row.add_row(elapsed, since_zero, kind, Text(text))
    return row


def _one_line(text: str) -> str:
    """Returns the text without line breaks and other control characters, which would spoil the columns."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def summary_of(result: DrillResult, folder: Path) -> list[Text | Table]:
    """Returns the lines and tables that end a drill's output."""
    report = folder / REPORT_FILE
    legs: list[Text | Table] = [_leg_table(result), Text()] if result.legs else []
    return [
        Text(),
        *legs,
        _phase_table(result),
        Text(),
        _figure_table(result),
        Text(),
        _invariant_table(result),
        *(Text(f"   {problem}", "red") for problem in result.problems),
        Text(),
        Text.assemble(("Report   ", "bold"), str(report)),
        Text.assemble(("Again    ", "bold"), result.command),
        Text(),
        Text(result.verdict, "bold green" if result.status == "passed" else "bold red"),
    ]


def _phase_table(result: DrillResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=True)
    rto = result.rto_seconds
    origin, remark = "", ""
    if rto is not None:
        origin = f"{result.assumed_seconds:.1f} s assumed" if result.assumed_seconds else "measured"
        remark = f"target: under {RTO_TARGET_SECONDS:.0f} s"
    elif result.outage:
        remark = "no write was acknowledged after the outage"
    table.add_column("Phase", footer="RTO")
    table.add_column("Seconds", justify="right", footer=seconds(rto))
    table.add_column("", footer=origin)
    table.add_column("From → to", footer=remark)
    for phase in result.phases:
        table.add_row(phase.name, seconds(phase.seconds), measured_or_modelled(phase), phase.meaning)
    for phase in result.parallel_work:
        started = f"{seconds(phase.seconds)} from {since(phase.started_s)}"
        table.add_row(phase.name, "", "in parallel", f"{started}: {phase.meaning}", style="dim")
    return table


def _leg_table(result: DrillResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("Step", "From", "Seconds", "RTO", "Writer after", "Epoch", "Lost", "Salvaged"):
        table.add_column(name, justify="left" if name in ("Step", "Writer after") else "right")
    for leg in result.legs:
        table.add_row(
            leg.step,
            since(leg.started_s),
            seconds(leg.seconds),
            seconds(leg.rto_seconds),
            leg.writer,
            str(leg.epoch),
            counted(leg.lost),
            counted(leg.salvaged),
        )
    return table


def _figure_table(result: DrillResult) -> Table:
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column(style="bold")
    writer_after = result.writer_after or "none"
    moved = writer_after if writer_after != result.writer_before else f"{writer_after} (as before)"
    if result.rto_by_hosts_seconds is not None:
        by = f"{seconds(result.rto_by_name_seconds)} by name, {seconds(result.rto_by_hosts_seconds)} by hosts"
        table.add_row("RTO", by)
    if result.closed_seconds is not None:
        table.add_row("Closed", f"for {seconds(result.closed_seconds)} at most, though the database was there")
    rpo = f"{seconds(result.rpo_seconds, 3)} (target: under {RPO_TARGET_SECONDS:.0f} s)"
    table.add_row("Writer", f"{result.writer_before} → {moved}")
    counts = f"{result.acknowledged:,} acknowledged, {result.lost:,} lost, {result.duplicated:,} duplicated"
    table.add_row("Writes", counts)
    if result.gap_seconds is not None:
        gap = f"neither acknowledged anything for {seconds(result.gap_seconds, 3)}"
        table.add_row(
            "Both wrote",
            f"{result.both_wrote:,} times; {gap}" if result.gap_seconds >= 0 else f"{result.both_wrote:,} times",
        )
    table.add_row("RPO", rpo if result.rpo_seconds is not None else "not measured")
    workflow = f"{result.execution_status or 'never started'} {result.execution_name or ''}"
    table.add_row("Workflow", workflow.rstrip())
    table.add_row("Ended as", f"{result.reached} (demanded: {result.demanded})")
    return table


def _invariant_table(result: DrillResult) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, held in result.invariants.items():
        mark, style = ("✔", "green") if held else ("✘", "bold red")
        meaning = Text(result.invariant_meanings[name], "dim" if held else "")
        table.add_row(Text(mark, style), Text(plain_name(name), "" if held else style), meaning)
    return table


def measured_or_modelled(phase: Phase) -> str:
    """Returns the word for where a phase's duration comes from."""
    return "modelled" if phase.modelled else "measured"


def ours_and_assumed(total: float | None, assumed: float) -> str:
    """Returns the parts of a time that holds Aurora's assumed delay: ``19.3 s ours + 30.0 s assumed``."""
    return "-" if total is None else f"{seconds(total - assumed)} ours + {seconds(assumed)} assumed"


def counted(number: int | None) -> str:
    """Returns a number of writes for people, a dash where none was counted."""
    return "-" if number is None else f"{number:,}"
