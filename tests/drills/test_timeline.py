from __future__ import annotations

import io
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drills.ends import End
from drills.show import timeline as timeline_module
from drills.show.timeline import Timeline
from drills.verdict.events import Kind
from drills.world.pulse import Load
from tests.drills.sample_result import INVARIANTS, sample_result

# Only ends a test that would otherwise wait for ever; nothing is measured by it.
PATIENCE_SECONDS = 30.0
ESCAPE = "\x1b"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
LOAD = Load({"us-east-1": 0.0, "us-west-2": 812.4}, clients=8, failing_clients=3)
FOLDER = Path("build/drill/latest")


@dataclass
class StoppedClock:
    time: float = 1000.0

    def now(self) -> float:
        return self.time


class Log(io.StringIO):
    """A file that tells when a text was written to it."""

    def __init__(self, awaited: str = "", terminal: bool = False) -> None:
        super().__init__()
        self.terminal = terminal
        self.seen = threading.Event()
        self.wait_for(awaited)

    def wait_for(self, awaited: str, times: int = 1) -> None:
        self.awaited, self.times = awaited, times
        self.seen.clear()

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.awaited and self.getvalue().count(self.awaited) >= self.times:
            self.seen.set()
        return written


def timeline_into(file: io.StringIO, **options: Any) -> Timeline:
    return Timeline(StoppedClock(), file=file, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline_module, "LOG_REFRESH_SECONDS", 0.001)
    monkeypatch.setattr(timeline_module, "TERMINAL_REFRESH_SECONDS", 0.001)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_log_has_one_plain_line_for_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as CI services set it
    log = Log()
    with timeline_into(log) as timeline:
        timeline.event(Kind.LAB, "ready", at=1001.0)
        timeline.event(Kind.OUTAGE, "us-east-1 is gone", at=1010.0, mark="zero")
        timeline.event(Kind.ALARM, "writer-down → ALARM " + "and more " * 30, at=1022.4)
    assert log.getvalue().splitlines() == [
        " elapsed     outage",
        "   1.0 s             lab           ready",
        "  10.0 s     +0.0 s  outage        us-east-1 is gone",
        "  22.4 s    +12.4 s  alarm         writer-down → ALARM " + ("and more " * 30).rstrip(),
    ]


def test_a_text_cannot_break_the_columns() -> None:
    log = Log()
    with timeline_into(log) as timeline:
        timeline.event(Kind.CLIENT, "refused\nby [bold]peer\x1b[2J\r")
    assert log.getvalue().splitlines()[1:] == ["   0.0 s             client        refused by [bold]peer [2J"]


def test_in_a_terminal_kinds_have_colours() -> None:
    terminal = Log(terminal=True)
    with timeline_into(terminal) as timeline:
        timeline.event(Kind.OUTAGE, "gone")
    assert "\x1b[1;31m" in terminal.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = Log(awaited="... waiting for the alarm", terminal=True)
    with timeline_into(terminal) as timeline, timeline.waiting("the alarm"):
        timeline.event(Kind.OUTAGE, "gone")
        assert terminal.seen.wait(PATIENCE_SECONDS)
    assert ESCAPE not in terminal.getvalue()


def test_a_file_that_lacks_characters_gets_question_marks() -> None:
    raw = io.BytesIO()
    with timeline_into(io.TextIOWrapper(raw, encoding="ascii")) as timeline:  # type: ignore[arg-type]
        timeline.event(Kind.ALARM, "writer-down → ALARM")
        timeline.summary(sample_result(), FOLDER)
        assert b"writer-down ? ALARM" in raw.getvalue()


def test_events_of_many_threads_are_all_kept_on_whole_lines() -> None:
    log = Log()
    with timeline_into(log) as timeline:

        def report(number: int) -> None:
            for turn in range(50):
                timeline.event(Kind.CLIENT, f"client {number} turn {turn} end")

        threads = [threading.Thread(target=report, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        texts = [event.text for event in timeline.events()]
    assert len(texts) == 400
    assert [line[35:] for line in log.getvalue().splitlines()[1:]] == texts


def test_events_are_kept_in_order_of_time_since_the_outage() -> None:
    timeline = timeline_into(Log())
    timeline.event(Kind.OUTAGE, "gone", at=1010.0, mark="zero")
    timeline.event(Kind.ALARM, "alarm", at=1022.4, detail="because")
    timeline.event(Kind.CLIENT, "first failure, told late", at=1010.1)
    timeline.event(Kind.LAB, "start", at=1000.5)
    assert [(event.at, event.text, event.detail) for event in timeline.events()] == [
        (-9.5, "start", ""),
        (0.0, "gone", ""),
        (0.1, "first failure, told late", ""),
        (12.4, "alarm", "because"),
    ]


def test_the_first_event_with_a_mark_counts_and_a_measured_mark_replaces_it() -> None:
    timeline = timeline_into(Log())
    timeline.event(Kind.OUTAGE, "gone", at=1010.0, mark="zero")
    timeline.event(Kind.ALARM, "alarm", at=1022.4, mark="alarm")
    timeline.event(Kind.ALARM, "again", at=1032.4, mark="alarm")
    timeline.event(Kind.DNS, "seen late", at=1050.0, mark="dns_switched")
    marks = timeline.marks(dns_switched=38.5, first_acknowledged_write=None)
    assert (marks.alarm, marks.dns_switched, marks.detach_called) == (12.4, 38.5, None)


def test_a_drill_without_outage_counts_from_its_start() -> None:
    timeline = timeline_into(Log(), zero_name="start")
    timeline.event(Kind.WORKFLOW, "started", at=1000.4, mark="execution_started")
    assert timeline.marks().execution_started == 0.4


def test_a_log_tells_what_is_waited_for_and_what_the_clients_do() -> None:
    log = Log(awaited="clients failing\n")
    with timeline_into(log) as timeline:
        timeline.watch(lambda: LOAD)
        with timeline.waiting("the alarm", at_most=60):
            assert log.seen.wait(PATIENCE_SECONDS)
    assert log.getvalue().splitlines()[1] == (
        "  ... waiting for the alarm  0 s of at most 60 s  commits/s us-east-1 0, us-west-2 812  3 of 8 clients failing"
    )


def test_a_wait_goes_on_when_another_one_inside_it_ends() -> None:
    log = Log(awaited="waiting for the clients")
    with timeline_into(log) as timeline, timeline.waiting("the clients"):
        with timeline.waiting("the alarm"):
            pass
        assert log.seen.wait(PATIENCE_SECONDS)


def test_a_wait_that_ended_is_told_no_more() -> None:
    log = Log(awaited="the alarm")
    with timeline_into(log) as timeline:
        with timeline.waiting("the alarm"):
            assert log.seen.wait(PATIENCE_SECONDS)
        log.wait_for("the clients", times=2)
        with timeline.waiting("the clients"):
            assert log.seen.wait(PATIENCE_SECONDS)
    assert "the alarm" not in log.getvalue().partition("the clients")[2]


def test_a_client_may_report_under_the_lock_that_the_load_needs() -> None:
    """The display never asks for the load while it holds a lock that an event needs."""
    terminal = Log(terminal=True)
    of_the_workload = threading.Lock()
    asking = threading.Event()

    def load() -> Load:
        asking.set()
        with of_the_workload:
            return LOAD

    def report() -> None:
        with of_the_workload:
            asking.clear()
            assert asking.wait(PATIENCE_SECONDS)  # the display now waits for this thread
            timeline.event(Kind.CLIENT, "reported")

    with timeline_into(terminal) as timeline:
        timeline.watch(load)
        with timeline.waiting("the client"):
            client = threading.Thread(target=report, daemon=True)
            client.start()
            client.join(PATIENCE_SECONDS)
            assert not client.is_alive()
    assert "reported" in terminal.getvalue()


def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    terminal = Log(awaited="the alarm", terminal=True)

    def interrupted() -> None:
        with timeline_into(terminal) as timeline, timeline.waiting("the alarm"):
            assert terminal.seen.wait(PATIENCE_SECONDS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert HIDE_CURSOR in terminal.getvalue()
    assert terminal.getvalue().rindex(SHOW_CURSOR) > terminal.getvalue().rindex(HIDE_CURSOR)
    assert "timeline" not in {thread.name for thread in threading.enumerate()}


def summary(**changes: Any) -> list[str]:
    log = Log()
    timeline_into(log).summary(sample_result(**changes), FOLDER)
    return log.getvalue().splitlines()


def test_the_summary_separates_measured_from_modelled() -> None:
    lines = [" ".join(line.split()) for line in summary()]
    for line in (
        "Detection 12.4 s measured first failed write → alarm",
        "Aurora's delay 20.0 s modelled detach called → stated delay over",
        "RTO 37.9 s 20.0 s assumed target: under 60 s",
        "Writer us-east-1 → us-west-2",
        "Writes 15,217 acknowledged, 27 lost, 0 duplicated",
        "RPO 0.034 s (target: under 1 s)",
        "✔ nothing duplicated No transfer was applied twice.",
        "Report build/drill/latest/report.html",
    ):
        assert line in lines


def test_the_summary_ends_with_the_verdict() -> None:
    assert summary()[-1] == sample_result().verdict


def test_the_summary_of_a_failure_says_what_broke() -> None:
    broken = dict.fromkeys(INVARIANTS, True) | {"one_writer": False}
    problem = "12 transfers were acknowledged by us-east-1 after us-west-2 had taken over"
    stopped = sample_result().marks.model_copy(update={"first_acknowledged_write": None})
    lines = summary(
        reached=End.ABORTED, invariants=broken, problems=[problem], writer_after=None, marks=stopped, rpo_seconds=None
    )
    text = "\n".join(" ".join(line.split()) for line in lines)
    for words in (
        "✘ one writer",
        problem,
        "Writer us-east-1 → none",
        "RPO not measured",
        "no write was acknowledged after the outage",
        "Ended as aborted (demanded: failed over)",
    ):
        assert words in text
    assert lines[-1].startswith("FAILED: ")
