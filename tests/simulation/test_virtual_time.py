"""Virtual time: an order of events that is always the same, and the standard library's names in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulation.virtual_time import Killed, Process, VirtualTime

LONG_S = 100.0


def played(*works: Callable[[VirtualTime, list[Any]], None]) -> list[Any]:
    """What the threads have noted, each with its moment."""
    time, noted = VirtualTime(starts_at=0.0), list[Any]()
    for work in works:
        time.spawn(lambda work=work: work(time, noted))  # type: ignore[misc]
    time.run(LONG_S)
    time.close()
    return noted


def test_whoever_sleeps_gives_way_and_goes_on_at_its_moment() -> None:
    def sleeper(seconds: float) -> Callable[[VirtualTime, list[Any]], None]:
        def work(time: VirtualTime, noted: list[Any]) -> None:
            time.sleep(seconds)
            noted.append((seconds, time.now))

        return work

    assert played(sleeper(3.0), sleeper(1.0), sleeper(1.0)) == [(1.0, 1.0), (1.0, 1.0), (3.0, 3.0)]


def test_a_thread_that_is_used_again_is_not_woken_by_what_it_waited_for_before() -> None:
    def work(time: VirtualTime, noted: list[Any]) -> None:
        event = time.event()
        first = time.spawn(lambda: event.wait(5.0))
        time.sleep(1.0)
        event.set()
        assert first.result()
        time.spawn(lambda: time.event().wait(50.0)).result()  # the time limit of the first, at 5 s, is not its
        noted.append(time.now)

    assert played(work) == [51.0]


def test_what_is_alone_in_the_world_waits_as_long_and_no_longer_than_the_history_lasts() -> None:
    def work(time: VirtualTime, noted: list[Any]) -> None:
        time.sleep(3.0)
        noted.append(time.now)
        time.sleep(LONG_S)
        noted.append(time.now)

    assert played(work) == [3.0]


def test_a_result_is_waited_for_no_longer_than_that() -> None:
    def work(time: VirtualTime, noted: list[Any]) -> None:
        slow = time.pool(1).submit(time.sleep, 5.0)
        with pytest.raises(TimeoutError):
            slow.result(2.0)
        noted.append(time.now)
        slow.result()
        noted.append(time.now)

    assert played(work) == [2.0, 5.0]


def test_an_error_is_kept_for_whoever_asks_for_the_result() -> None:
    def fail() -> None:
        raise ValueError("no")

    def work(time: VirtualTime, noted: list[Any]) -> None:
        with pytest.raises(ValueError, match="no"):
            time.pool(1).submit(fail).result()
        noted.append("raised")

    assert played(work) == ["raised"]


def test_a_pool_that_is_left_has_done_its_work_with_as_many_threads_as_it_has() -> None:
    def work(time: VirtualTime, noted: list[Any]) -> None:
        with time.pool(2) as pool:
            for _ in range(3):
                pool.submit(time.sleep, 1.0)
        noted.append(time.now)

    assert played(work) == [2.0]


def test_an_event_wakes_everybody_who_waits_for_it() -> None:
    def waits(time: VirtualTime, noted: list[Any]) -> None:
        event = time.event()
        time.after(4.0, event.set)
        assert not event.wait(1.0)
        assert event.wait(9.0)
        noted.append(time.now)

    assert played(waits) == [4.0]


def test_a_frozen_process_goes_on_after_the_thaw() -> None:
    def work(time: VirtualTime, noted: list[Any]) -> None:
        def sleep() -> None:
            time.sleep(1.0)
            noted.append(time.now)

        process = Process("frozen")
        time.spawn(sleep, process)
        time.after(0.5, lambda: process.freeze(7.0))

    assert played(work) == [7.0]


def test_a_process_that_is_frozen_again_for_less_stays_frozen_for_as_long_as_its_threads_are() -> None:
    def work(time: VirtualTime, noted: list[Any]) -> None:
        process = Process("frozen twice")
        time.spawn(lambda: time.sleep(1.0), process)
        process.freeze(7.0)
        time.sleep(2.0)  # the thread waits for the thaw now
        process.freeze(3.0)
        noted.append(process.frozen_until)

    assert played(work) == [7.0]


@pytest.mark.parametrize("others", [(), (0.75, 1.5)])
def test_a_process_that_is_frozen_when_it_falls_asleep_wakes_after_the_thaw(others: tuple[float, ...]) -> None:
    def work(time: VirtualTime, noted: list[Any]) -> None:
        process = Process("frozen")

        def sleep() -> None:
            process.freeze(7.0)
            time.sleep(1.0)
            noted.append(time.now)

        time.spawn(sleep, process)
        for seconds in others:  # whoever gives way to it meets the frozen one
            time.sleep(seconds)

    assert played(work) == [7.0]


def test_a_killed_process_goes_on_no_more_and_whoever_waits_learns_of_it() -> None:
    def work(time: VirtualTime, noted: list[Any]) -> None:
        def sleep() -> None:
            time.sleep(5.0)
            noted.append("never")

        process = Process("killed")
        result = time.spawn(sleep, process)
        time.after(1.0, lambda: time.kill(process))
        with pytest.raises(Killed):
            result.result()
        noted.append(time.now)

    assert played(work) == [1.0]


def test_whoever_gives_way_does_not_let_a_killed_process_go_on() -> None:
    def work(time: VirtualTime, noted: list[Any]) -> None:
        def sleep() -> None:
            time.sleep(5.0)
            noted.append("never")

        process = Process("killed")
        result = time.spawn(sleep, process)
        time.sleep(1.0)
        time.kill(process)
        time.sleep(1.0)
        assert result.done()
        noted.append(time.now)

    assert played(work) == [2.0]


def test_a_thread_sees_the_clock_of_its_process() -> None:
    def work(time: VirtualTime, noted: list[Any]) -> None:
        time.spawn(lambda: noted.append((time.time(), time.monotonic())), Process("ahead", clock_error=2.5))

    assert played(work) == [(2.5, 0.0)]
