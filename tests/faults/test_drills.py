"""One whole drill for each outage, trouble and mode that the design names.

Judged as people's own drills are: by the exit code. Long: `make drills` runs them, one after the other. Each takes a
minute or two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drills.ends import End
from drills.outages import OUTAGES
from drills.troubles import SWITCHOVER, TROUBLES, Phase, Trouble, When, at_its_worst

REPOSITORY = Path(__file__).resolve().parents[2]
# Twice as fast as the world: faster, and a machine with two cores no longer keeps up with cold starts and lease.
SPEED = 2
# Only ends a drill that would otherwise run for ever; three rounds of a circle take some ten minutes.
PATIENCE_SECONDS = 1800

# A new outage is drilled as soon as it has a row.
MOVES = [row.name for row in OUTAGES.values() if row.demanded is End.FAILED_OVER and not row.asks_person]
MOVES_NOTHING = [row.name for row in OUTAGES.values() if row.demanded is End.NOTHING_MOVED]
BROKEN_OFF = [row for row in TROUBLES.values() if row.when is When.PHASE]
ASKS = [row.name for row in OUTAGES.values() if row.asks_person]

pytestmark = pytest.mark.drill


@dataclass(frozen=True)
class Run:
    """What one drill left."""

    code: int
    result: dict[str, Any]
    printed: str

    @property
    def broken(self) -> set[str]:
        return {name for name, held in self.result["invariants"].items() if not held}


def drill(*arguments: str) -> Run:
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        output = Path(folder)
        output.chmod(0o711)  # PostgreSQL runs as another user when we are root
        scratch = output / "tmp"
        scratch.mkdir(mode=0o755)
        command = [sys.executable, "-m", "drills", "--speed", str(SPEED), "--output", str(output / "results")]
        finished = subprocess.run(
            [*command, "--aurora-promotion", "5", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "TMPDIR": str(scratch)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        latest = output / "results" / "latest" / "result.json"
        printed = finished.stdout + finished.stderr
        return Run(finished.returncode, json.loads(latest.read_text()) if latest.exists() else {}, printed)


@pytest.mark.parametrize("outage", MOVES)
def test_p1_when_the_writer_is_lost_the_other_region_takes_over_and_no_two_ever_write(outage: str) -> None:
    run = drill("--outage", outage)
    assert run.code == 0, run.printed
    assert run.result["both_wrote"] == 0
    assert run.result["gap_seconds"] > 0
    assert run.result["writer_after"] == "us-west-2"


@pytest.mark.parametrize("outage", MOVES_NOTHING)
def test_p6_when_only_the_watching_fails_nothing_moves_and_people_are_told(outage: str) -> None:
    run = drill("--outage", outage)
    assert run.code == 0, run.printed
    assert run.result["lost"] == 0
    assert run.result["writer_after"] == "us-east-1"


@pytest.mark.parametrize("outage", ASKS)
@pytest.mark.parametrize(
    ("approve", "end"), [("yes", "failed over"), ("no", "held for want of approval")], ids=["approved", "refused"]
)
def test_p5_what_may_lose_too_much_waits_for_a_person(outage: str, approve: str, end: str) -> None:
    run = drill("--outage", outage, "--approve", approve)
    assert run.code == 0, run.printed
    assert run.result["reached"] == end


def test_a_switchover_under_load_loses_and_repeats_nothing() -> None:
    run = drill("--mode", "switchover")
    assert run.code == 0, run.printed
    assert (run.result["lost"], run.result["duplicated"], run.result["both_wrote"]) == (0, 0, 0)


@pytest.mark.parametrize("outage", ["none", "kill"])
def test_a_rehearsal_changes_nothing(outage: str) -> None:
    run = drill("--mode", "rehearsal", "--outage", outage)
    assert run.code == 0, run.printed
    assert run.result["writer_after"] == "us-east-1"


@pytest.mark.parametrize("outage", ["isolate", "kill"])
def test_after_a_failover_the_way_back_loses_nothing_and_the_lost_writes_are_salvaged(outage: str) -> None:
    run = drill("--mode", "circle", "--outage", outage)
    assert run.code == 0, run.printed
    assert (run.result["writer_after"], run.result["both_wrote"]) == ("us-east-1", 0)
    assert run.result["replayed"] >= run.result["lost"]
    assert run.result["lost"] > 0 or outage == "kill"  # a region that dies may have had nothing on the wire
    assert [(leg["step"], leg["writer"], leg["epoch"]) for leg in run.result["legs"]] == [
        ("failover", "us-west-2", 2),
        ("re-protection", "us-west-2", 2),
        ("failback", "us-east-1", 3),
    ]


def test_each_region_in_turn_is_struck_and_re_protected_and_takes_over_again() -> None:
    """Four moves in a row: each cluster is retired and made anew, and the third failover leads to a rebuilt standby."""
    run = drill("--mode", "circle", "--outage", "kill", "--rounds", "3")
    assert run.code == 0, run.printed
    writers = [leg["writer"] for leg in run.result["legs"] if leg["step"] != "re-protection"]
    assert writers == ["us-west-2", "us-east-1", "us-west-2", "us-east-1"]
    assert run.result["both_wrote"] == 0


@pytest.mark.parametrize("outage", ["kill", "database", "isolate"])
def test_p1_an_old_writer_that_comes_back_takes_no_write(outage: str) -> None:
    """Clients that are pinned to its endpoint try all the time."""
    run = drill("--outage", outage, "--comes-back")
    assert run.code == 0, run.printed
    assert run.result["both_wrote"] == 0


@pytest.mark.parametrize(
    "trouble", [row for row in TROUBLES.values() if row.worst != SWITCHOVER], ids=lambda row: row.name
)
def test_p9_p10_no_trouble_changes_how_an_outage_ends(trouble: Trouble) -> None:
    run = drill(*at_its_worst(trouble), "--clients", "both")
    assert run.code == 0, run.printed
    assert run.result["both_wrote"] == 0
    assert run.result["reached"] == run.result["demanded"]


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("trouble", BROKEN_OFF, ids=lambda row: row.name)
def test_p10_a_switchover_that_is_broken_off_is_finished_or_given_back_by_itself(
    trouble: Trouble, phase: Phase
) -> None:
    run = drill("--mode", SWITCHOVER, "--trouble", trouble.name, "--phase", phase)
    assert run.code == 0, run.printed
    assert (run.result["lost"], run.result["both_wrote"]) == (0, 0)


@pytest.mark.parametrize("seconds", ["6", "25"])
def test_p10_a_database_that_restarts_moves_nothing_and_is_open_again_at_once(seconds: str) -> None:
    run = drill("--outage", "restart", "--for", seconds)
    assert run.code == 0, run.printed
    assert run.result["closed_seconds"] <= 10


def test_p10_a_switchover_is_harmed_by_no_rds_that_is_busy_slow_or_silent() -> None:
    for trouble in ("rds-busy", "rds-slow", "rds-lost"):
        run = drill("--mode", SWITCHOVER, "--trouble", trouble)
        assert run.code == 0, run.printed


def test_clients_by_hosts_need_no_name() -> None:
    run = drill("--outage", "kill", "--clients", "hosts")
    assert run.code == 0, run.printed
    assert run.result["rto_by_name_seconds"] is None
    # Both are rounded to a millisecond, from moments that are summed up in different orders.
    assert run.result["rto_by_hosts_seconds"] == pytest.approx(run.result["rto_seconds"], abs=0.0015)


def test_the_limit_of_p1_a_region_that_lives_on_with_a_dead_guardian() -> None:
    """Clients pinned to its endpoint go on writing there: documented as what cannot be prevented."""
    run = drill("--outage", "isolate", "--guardian-dead")
    assert run.code == 1, run.printed
    assert run.broken == {"one_writer", "loss_was_bounded"}
    assert run.result["both_wrote"] > 0
