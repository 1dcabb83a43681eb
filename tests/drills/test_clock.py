"""Virtual time."""

import json

import pytest

from drills.world.clock import Clock


def test_ten_times_faster_clock_shows_ten_seconds_after_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(speed=10, epoch=1_000.0)
    monkeypatch.setattr("time.time", lambda: 1_001.0)
    assert clock.now() == 1_010.0


def test_durations_are_converted_both_ways() -> None:
    clock = Clock(speed=4, epoch=0.0)
    assert clock.to_real(60) == 15
    assert clock.to_virtual(15) == 60


def test_sleep_waits_the_real_part_only_and_never_a_negative_one(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    clock = Clock(speed=20, epoch=0.0)
    clock.sleep(10)
    clock.sleep(-1)
    assert slept == [0.5]


def test_starts_in_agreement_with_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_234.5)
    assert Clock.started_now(50).now() == 1_234.5


def test_another_process_rebuilds_it_from_two_numbers() -> None:
    clock = Clock.started_now(7.5)
    numbers = json.loads(json.dumps({"speed": clock.speed, "epoch": clock.epoch}))
    assert Clock(**numbers) == clock


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_impossible_speed_is_refused_with_the_remedy(speed: float) -> None:
    with pytest.raises(ValueError, match=f"speed is {speed}: give a number above 0"):
        Clock(speed, 0.0)
