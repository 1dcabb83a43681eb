from __future__ import annotations

import json
import os
import random
import re
import shlex
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from drills.ends import End
from drills.verdict.folder import discard_latest, save
from drills.verdict.marks import AURORA_DELAY, MarkName, Marks, phases_of
from drills.verdict.result import DrillResult, Leg
from drills.verdict.throughput import Throughput
from tests.drills.sample_result import INVARIANTS, MARKS, sample_result

# What issue trackers, scripts and people read from result.json.
PROMISED_FIELDS = {
    "mode",
    "outage",
    "seed",
    "speed",
    "status",
    "execution_status",
    "rto_seconds",
    "rpo_seconds",
    "acknowledged",
    "lost",
    "duplicated",
    "both_wrote",
    "gap_seconds",
    "troubles",
    "rto_by_name_seconds",
    "rto_by_hosts_seconds",
    "writer_before",
    "writer_after",
    "phases",
    "invariants",
}

# Whoever reads result.json relies on these; the names below settings, run_record and invariants depend on the drill.
RESULT_KEYS = """
    status verdict mode outage seed speed execution_status rto_seconds rpo_seconds acknowledged lost duplicated
    both_wrote gap_seconds writer_before writer_after aurora_promotion_seconds arguments started_at demanded reached
    execution_name execution_arn standby postgresql_version problems tolerated_errors replayed
    phases phases[].name phases[].started_s phases[].seconds phases[].modelled phases[].meaning
    parallel_work parallel_work[].name parallel_work[].started_s parallel_work[].seconds parallel_work[].modelled
    parallel_work[].meaning
    troubles clients rto_by_name_seconds rto_by_hosts_seconds closed_seconds
    lease lease[].region lease[].started_s lease[].ended_s
    marks marks.first_failed_write marks.third_miss marks.last_sign_of_life marks.word_of_guardian marks.verdict
    marks.alarm marks.execution_started marks.lease_wait_started marks.lease_over
    marks.detach_called marks.writes_possible marks.dns_switch_started marks.dns_switched marks.first_acknowledged_write
    marks.execution_ended
    throughput throughput.started_s throughput.bucket_s throughput.commits_per_second throughput.failures_per_second
    events events[].at events[].kind events[].text events[].detail
    notes notes.measured notes.modelled notes.limits
    legs legs[].step legs[].run legs[].started_s legs[].seconds legs[].writer legs[].epoch legs[].lost legs[].salvaged
    legs[].rto_seconds legs[].gap_seconds legs[].both_wrote
"""


def changed(**marks: float | None) -> Marks:
    return MARKS.model_copy(update=marks)


def lengths(marks: Marks, delay: float = 20.0) -> dict[str, float]:
    return {phase.name: phase.seconds for phase in phases_of(marks, delay)}


def test_a_phase_lies_between_its_two_moments() -> None:
    assert lengths(MARKS) == {
        "Detection": 12.388,  # from the first failed write at 0.012
        "Trigger": 0.513,
        "Decision": 2.958,
        AURORA_DELAY: 20.0,
        "Promotion": 0.453,
        "DNS switch": 0.0,
        "Reconnect": 1.594,
    }


def test_phases_follow_one_another_and_add_up_to_the_rto_to_the_millisecond() -> None:
    chance = random.Random(1)
    for _ in range(200):
        names = list(Marks.model_fields)
        marks = Marks(**{name: chance.uniform(-1, 90) for name in names if chance.random() < 0.8})
        marks = marks.model_copy(update={"first_failed_write": 0.25, "first_acknowledged_write": 61.007})
        result = sample_result(marks=marks, aurora_promotion_seconds=chance.choice([0, 5, 200]))
        phases = result.phases
        assert sum(Decimal(str(phase.seconds)) for phase in phases) == Decimal("60.757")
        assert result.rto_seconds == 60.757
        assert [phase.ended_s for phase in phases[:-1]] == [phase.started_s for phase in phases[1:]]


def test_a_dns_switch_after_the_promotion_lengthens_the_outage() -> None:
    result = sample_result(marks=changed(dns_switched=37.324))
    assert {phase.name: phase.seconds for phase in result.phases}["DNS switch"] == 1.0


def test_a_dns_switch_before_the_promotion_is_shown_beside_the_phases() -> None:
    result = sample_result()
    assert [(work.started_s, work.seconds) for work in result.parallel_work] == [(15.402, 15.016)]
    reconnect = result.phases[-1]
    assert reconnect.meaning == "new writer takes writes → first acknowledged write"


def test_only_auroras_delay_is_modelled() -> None:
    assert [phase.name for phase in phases_of(MARKS, 20.0) if phase.modelled] == [AURORA_DELAY]
    assert [phase.name for phase in phases_of(MARKS, 0.0) if phase.modelled] == []


def test_a_delay_that_would_end_after_the_promotion_ends_with_it() -> None:
    assert lengths(MARKS, delay=500.0)[AURORA_DELAY] == 20.453
    assert lengths(MARKS, delay=500.0)["Promotion"] == 0.0


def test_a_run_that_stopped_has_the_phases_that_it_completed() -> None:
    stopped = Marks(first_failed_write=0.01, alarm=12.0, execution_started=12.5, detach_called=14.0)
    assert list(lengths(stopped)) == ["Detection", "Trigger", "Decision"]
    assert sample_result(marks=stopped).rto_seconds is None


def test_a_run_started_by_hand_has_no_detection() -> None:
    phases = phases_of(changed(alarm=None), 20.0)
    assert (phases[0].name, phases[0].seconds) == ("Trigger", 12.901)
    assert phases[0].meaning == "first failed write → workflow started"


def test_a_rehearsal_ends_with_its_decision() -> None:
    marks = Marks(execution_started=0.4, execution_ended=4.9)
    result = sample_result(mode="rehearsal", outage=None, demanded=End.REHEARSED, reached=End.REHEARSED, marks=marks)
    assert [(phase.name, phase.seconds) for phase in result.phases] == [("Trigger", 0.4), ("Decision", 4.5)]
    assert result.phases[0].meaning == "start → workflow started"
    assert result.rto_seconds is None
    assert result.exit_code == 0


def test_promotion_counts_from_the_alarm() -> None:
    assert MARKS.promotion_seconds == 23.924
    assert changed(alarm=None).promotion_seconds is None


def test_every_mark_can_be_named() -> None:
    assert set(get_args(MarkName)) == set(Marks.model_fields)


@pytest.mark.parametrize(
    ("changes", "status", "exit_code"),
    [
        ({}, "passed", 0),
        ({"reached": End.NEEDS_PERSON}, "failed", 1),
        ({"invariants": dict.fromkeys(INVARIANTS, True) | {"one_writer": False}}, "failed", 1),
        ({"invariants": {}}, "failed", 1),
        ({"demanded": End.NOTHING_MOVED, "reached": End.NOTHING_MOVED}, "passed", 0),
    ],
)
def test_passed_is_the_demanded_end_and_every_invariant(changes: dict[str, Any], status: str, exit_code: int) -> None:
    result = sample_result(**changes)
    assert (result.status, result.exit_code) == (status, exit_code)
    assert result.verdict.startswith(status.upper())


def test_the_verdict_says_what_is_wrong_and_who_writes() -> None:
    broken = {"invariants": dict.fromkeys(INVARIANTS, True) | {"one_writer": False}}
    verdict = sample_result(reached=End.TIMED_OUT, writer_after=None, duplicated=3, **broken).verdict
    for words in ("failed over", "timed out", "broken: one writer", "No region takes writes", "duplicated: 3"):
        assert words in verdict


def test_the_verdict_of_a_recovery() -> None:
    assert sample_result().verdict == (
        "PASSED: us-east-1 died; 37.9 s later clients wrote to us-west-2. "
        "Lost: 27 of 15,217 acknowledged writes (the last 0.034 s); duplicated: none."
    )


def keys(value: Any, path: str = "") -> set[str]:
    """Every key of a JSON document, with those around it."""
    if isinstance(value, list):
        return {key for each in value for key in keys(each, f"{path}[]")}
    if not isinstance(value, dict):
        return set()
    inner = {f"{path}.{name}".removeprefix("."): part for name, part in value.items()}
    return set(inner) | {key for name, part in inner.items() for key in keys(part, name)}


def test_the_keys_of_a_result_are_an_interface() -> None:
    legs = [Leg(step="failover", run="r", started_s=0, seconds=1, writer="us-west-2", epoch=2)]
    result = json.loads(sample_result(legs=legs).to_json())
    for free in ("settings", "run_record", "invariants", "invariant_meanings"):  # named by what fills them
        assert result.pop(free)
    del result["throughput"]["commits_per_second"]["us-east-1"], result["throughput"]["commits_per_second"]["us-west-2"]
    assert keys(result) == set(RESULT_KEYS.split())


def test_the_verdict_of_a_circle_says_which_way_it_went_and_what_came_back() -> None:
    legs = [
        Leg(step=step, run="r", started_s=0, seconds=1, writer=writer, epoch=2)
        for step, writer in (("failover", "us-west-2"), ("re-protection", "us-west-2"), ("failback", "us-east-1"))
    ]
    result = sample_result(
        mode="circle",
        outage="isolate",
        demanded=End.FULL_CIRCLE,
        reached=End.FULL_CIRCLE,
        writer_after="us-east-1",
        legs=legs,
        replayed=27,
    )
    assert result.verdict == (
        "PASSED: us-east-1 was cut off from every other region; failed over, re-protected and failed back, and "
        "us-east-1 is the writer again. Lost: 27 of 15,217 acknowledged writes (the last 0.034 s); written again from "
        "the salvage: 27; duplicated: none."
    )
    assert DrillResult.from_json(result.to_json()) == result


def test_the_json_has_the_promised_fields_first() -> None:
    fields = json.loads(sample_result().to_json())
    assert set(list(fields)[: len(PROMISED_FIELDS) + 1]) == PROMISED_FIELDS | {"verdict"}
    assert fields["invariants"] == dict.fromkeys(INVARIANTS, True)
    assert (
        fields["phases"][3].items()
        >= {
            "name": AURORA_DELAY,
            "started_s": 15.871,
            "seconds": 20.0,
            "modelled": True,
        }.items()
    )


def test_what_is_written_can_be_read() -> None:
    result = sample_result()
    assert DrillResult.from_json(result.to_json()) == result


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"invariants": {"unheard_of": True}}, "invariant_meanings lacks unheard_of"),
        ({"rpo_seconds": float("nan")}, "rpo_seconds"),
        ({"speeed": 1}, "speeed"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        sample_result(**changes)


def test_the_command_survives_make_and_the_shell() -> None:
    arguments = ["--seed", "7", "--note", "it's $HOME"]
    make, target, assignment = shlex.split(sample_result(arguments=arguments).command)
    # Make turns "$$" into "$" and the name of a variable it does not know into nothing.
    expanded_by_make = re.sub(
        r"\$(\$|\w)", lambda found: "$" if found[1] == "$" else "", assignment.removeprefix("ARGS=")
    )
    assert (make, target, shlex.split(expanded_by_make)) == ("make", "drill", arguments)


def test_writes_are_counted_in_the_second_they_belong_to() -> None:
    throughput = Throughput.count({"a": [-1.0, -0.5, 0.0, 2.5, 99], "b": []}, [0.999, 1.0], -1.0, 2.9)
    assert throughput.commits_per_second == {"a": [2, 1, 0], "b": [0, 0, 0]}
    assert throughput.failures_per_second == [0, 1, 1]
    assert throughput.ended_s == 2.0


def test_a_narrow_bucket_still_counts_per_second() -> None:
    assert Throughput.count({}, [0.1, 0.2, 0.6], 0.0, 1.0, bucket_s=0.5).failures_per_second == [4, 2]


def test_series_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"'a'.*2 buckets.*has 1"):
        Throughput(started_s=0, bucket_s=1, commits_per_second={"a": [1, 2]}, failures_per_second=[0])


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_saved_drill_is_the_latest_and_has_a_folder_of_its_own(tmp_path: Path) -> None:
    result = sample_result()
    latest = save(result, "the report", tmp_path / "drill")
    assert latest == tmp_path / "drill" / "latest"
    expected = {"result.json": result.to_json(), "report.html": "the report"}
    assert contents(latest) == contents(tmp_path / "drill" / "2025-11-23T10-04-05Z") == expected
    assert (latest / "report.html").stat().st_mode & 0o777 == 0o644


def test_the_next_drill_becomes_the_latest_and_the_last_one_stays(tmp_path: Path) -> None:
    save(sample_result(), "first", tmp_path)
    save(sample_result(), "second", tmp_path)  # in the same second
    assert (tmp_path / "latest" / "report.html").read_text() == "second"
    assert (tmp_path / "2025-11-23T10-04-05Z" / "report.html").read_text() == "first"


def test_a_folder_moved_elsewhere_keeps_its_latest(tmp_path: Path) -> None:
    save(sample_result(), "report", tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert (tmp_path / "there" / "latest" / "report.html").read_text() == "report"


def test_without_links_the_latest_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("no links here")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "symlink_to", refuse)
        save(sample_result(), "first", tmp_path)
        save(sample_result(), "second", tmp_path)
        assert not (tmp_path / "latest").is_symlink()
        assert contents(tmp_path / "latest")["report.html"] == "second"
    save(sample_result(), "third", tmp_path)
    assert (tmp_path / "latest").is_symlink()
    assert contents(tmp_path / "latest")["report.html"] == "third"


def test_a_full_disk_leaves_the_older_latest_and_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError("no space left")

    save(sample_result(), "first", tmp_path)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="no space"):
        save(sample_result(), "second", tmp_path)
    assert contents(tmp_path / "latest")["report.html"] == "first"
    assert contents(tmp_path / "2025-11-23T10-04-05Z-2") == {}


def test_discarding_the_latest_keeps_its_folder(tmp_path: Path) -> None:
    discard_latest(tmp_path)  # there is none
    save(sample_result(), "report", tmp_path)
    discard_latest(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["2025-11-23T10-04-05Z"]
    assert len(contents(tmp_path / "2025-11-23T10-04-05Z")) == 2
