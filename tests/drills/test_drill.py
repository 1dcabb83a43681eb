"""Whole drills, through the command that people run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer
from typer.testing import CliRunner

from drills import __main__ as command_line
from drills.aws.lambda_runtime import SECRET_ACCESS_KEY
from drills.script.drill import AURORA_PROMOTION_SECONDS
from drills.script.options import Options
from orchestration import measured

REPOSITORY = Path(__file__).resolve().parents[2]
# Fast enough for a test, slow enough that two busy cores keep up with the clock: a cold start counts with its speed.
SPEED = 3
# Only end a test that would otherwise wait for ever.
PATIENCE_SECONDS = 300

# What a drill leaves: its exit code, its result, its page, what it printed, and what is still there of it.
Finished = tuple[int, dict[str, Any], str, str, list[str]]


def start(output: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    scratch = output / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    scratch.chmod(0o755)
    for folder in (output, *output.parents):  # PostgreSQL runs as another user when we are root
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    command = [
        sys.executable,
        "-X",
        "faulthandler",
        "-m",
        "drills",
        "--speed",
        str(SPEED),
        "--output",
        str(output / "results"),
        *arguments,
    ]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(scratch), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(drill: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for the end and return what was printed; a drill that hangs says where."""
    try:
        return drill.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        drill.send_signal(signal.SIGABRT)  # faulthandler prints every thread's stack
        printed, errors = drill.communicate()
        pytest.fail(f"the drill did not end:\n{printed}\n{errors}")


def left_behind(output: Path) -> list[str]:
    """Processes that work in the drill's scratch folder, and what is still in it."""
    scratch = output / "tmp"
    return [str(path) for path in scratch.iterdir()] + [
        f"process {process.info['pid']}: {process.info['cmdline']}"
        for process in psutil.process_iter(["pid", "cwd", "cmdline"])
        if str(process.info["cwd"] or "").startswith(str(scratch))
    ]


def secrets_in(text: str) -> list[str]:
    """The secrets of a drill that a text holds: functions' keys, those of assumed roles, and tokens to log in by."""
    return [secret for secret in (SECRET_ACCESS_KEY, "LAB-session-", "X-Amz-Signature") if secret in text]


@pytest.fixture
def output() -> Iterator[Path]:
    """A short path: the servers' Unix sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        yield Path(folder)


@pytest.fixture
def here(output: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same, for a drill in this process, which has its signals back afterwards."""
    (output / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(output / "tmp"))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield output
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def finished() -> Finished:
    """One drill, run once for all tests that look at what it leaves."""
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        output = Path(folder)
        drill = start(output, "--outage", "kill", "--seed", "11", "--aurora-promotion", "2")
        printed, errors = finish(drill)
        latest = output / "results" / "latest"
        result = json.loads((latest / "result.json").read_text()) if latest.exists() else {}
        report = (latest / "report.html").read_text() if latest.exists() else ""
        return drill.returncode, result, report, printed + errors, left_behind(output)


def test_p7_when_a_region_dies_the_writer_moves_and_every_invariant_holds(finished: Finished) -> None:
    code, result, _, printed, _ = finished
    assert code == 0, printed
    assert result["status"] == "passed"
    assert (result["writer_before"], result["writer_after"]) == ("us-east-1", "us-west-2")
    assert result["execution_status"] == "SUCCEEDED"
    assert result["invariants"]
    assert all(result["invariants"].values())
    assert result["acknowledged"] > 0
    assert result["duplicated"] == 0


def test_the_phases_of_a_drill_add_up_to_its_rto(finished: Finished) -> None:
    _, result, _, printed, _ = finished
    assert result["rto_seconds"] > 0, printed
    assert sum(phase["seconds"] for phase in result["phases"]) == pytest.approx(result["rto_seconds"], abs=0.01)
    assert [phase["name"] for phase in result["phases"] if phase["modelled"]] == ["Aurora's delay"]


def test_a_drill_shows_its_timeline_and_leaves_a_report(finished: Finished) -> None:
    _, _, report, printed, _ = finished
    for moment in (
        "KILL: us-east-1 died",
        "tells the bus: Writer Down",
        "→ DetachSecondary",
        "takes writes",
        "PASSED",
    ):
        assert moment in printed
    assert "<svg" in report
    assert not re.findall(r"""(?:src|href)=["']?https?:""", report)


def test_no_key_and_no_token_lands_in_what_a_drill_leaves(finished: Finished) -> None:
    _, result, report, printed, _ = finished
    assert secrets_in(json.dumps(result) + report + printed) == []


def test_a_finished_drill_leaves_no_process_and_no_folder(finished: Finished) -> None:
    assert finished[-1] == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "crashed"])
def test_a_drill_that_is_ended_leaves_no_process_and_no_folder(output: Path, how: signal.Signals) -> None:
    drill = start(output)
    assert drill.stdout is not None
    for line in drill.stdout:
        if "clients in each region write" in line:
            break
    assert left_behind(output), "nothing was running, so nothing is shown"
    logs = list((output / "tmp").rglob("*.log"))
    assert any("monitor" in log.name for log in logs), "no function has been at work"
    assert [log.name for log in logs if secrets_in(log.read_text(errors="replace"))] == []
    drill.send_signal(how)
    finish(drill)
    deadline = time.monotonic() + PATIENCE_SECONDS / 5
    while left_behind(output) and time.monotonic() < deadline:
        time.sleep(0.1)  # after SIGKILL the reaper is all that is left, and it works on its own
    assert left_behind(output) == []
    if how is signal.SIGINT:
        assert drill.returncode == 130
    assert not (output / "results" / "latest").exists()


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--mode", "panic"], {}, ["panic", "failover", "rehearsal"]),
        (["--outage", "flood"], {}, ["flood", "kill", "hang", "database"]),
        (["--mode", "switchover", "--outage", "kill"], {}, ["switchover", "kill", "no demanded end", "none"]),
        (["--outage", "none"], {}, ["failover", "none", "no demanded end"]),
        (["--trouble", "flood"], {}, ["flood", "rds-busy", "blind"]),
        (["--outage", "quiet", "--trouble", "rds-busy"], {}, ["rds-busy", "goes with a failover that moves"]),
        (["--outage", "kill", "--trouble", "switch-down"], {}, ["switch-down", "database or a switchover"]),
        (["--outage", "kill", "--for", "6"], {}, ["--for", "restart, quiet"]),
        (["--outage", "kill", "--phase", "moving"], {}, ["--phase", "run-stopped"]),
        (["--mode", "circle", "--clients", "hosts"], {}, ["circle", "name"]),
        (["--outage", "kill", "--then", "hang"], {}, ["--then", "second round"]),
        (["--mode", "circle", "--rounds", "2", "--then", "lag"], {}, ["lag", "no demanded end", "kill, database"]),
        (["--clients", "luck"], {}, ["luck", "name", "hosts", "both"]),
        (["--outage", "lag", "--approve", "perhaps"], {}, ["perhaps", "yes", "no", "never"]),
        (["--speed", "0"], {}, ["0", "speed"]),
        (["--postgres", "/nowhere"], {}, ["/nowhere", "Install one"]),
        ([], {"FAILOVER_ENVIRONMENT_SUFFIX": "Not_Legal"}, ["environment_suffix", "Not_Legal", "lower-case"]),
        ([], {"FAILOVER_SETTINGS": "/nowhere.toml"}, ["/nowhere.toml", "FAILOVER_SETTINGS"]),
    ],
    ids=[
        "mode",
        "outage",
        "together",
        "no outage",
        "trouble",
        "trouble without a move",
        "trouble with both switches lost",
        "for",
        "phase",
        "hosts in a circle",
        "then without a circle",
        "then of an outage that does not go round",
        "clients",
        "approve",
        "speed",
        "no PostgreSQL",
        "invalid setting",
        "no settings",
    ],
)
def test_bad_input_gives_one_clear_error_and_leaves_nothing(
    here: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    environment: dict[str, str],
    words: list[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["drills", "--output", str(here / "results"), *arguments])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    errors = capfd.readouterr().err
    assert "Traceback" not in errors
    for word in words:
        assert word in errors
    assert left_behind(here) == []


def test_a_drill_that_cannot_run_says_so_by_its_exit_code(output: Path) -> None:
    drill = start(output, "--postgres", "/nowhere")
    _, errors = finish(drill)
    assert drill.returncode == 2
    assert "The drill cannot run: " in errors
    assert "Traceback" not in errors
    assert left_behind(output) == []


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        (["--mode", "switchover"], 22.0),
        (["--mode", "switchover", "--aurora-promotion", "0"], 0.0),
        (["--mode", "failover"], AURORA_PROMOTION_SECONDS),
    ],
)
def test_a_drill_takes_what_was_measured_of_aurora_unless_it_is_told(
    arguments: list[str], seconds: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken: list[float] = []

    def run(options: Options) -> int:
        taken.append(options.aurora_promotion_seconds)
        return 0

    monkeypatch.setattr(measured, "FILE", tmp_path / "measured.json")
    monkeypatch.setattr(command_line, "_exit_code", run)
    measured.keep_promotion("switchover", 22.0, "run-1")
    app = typer.Typer()
    app.command()(command_line.drill)
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert taken == [seconds]
