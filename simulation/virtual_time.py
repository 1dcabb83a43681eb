"""Virtual time: threads, pools, sleeps and clocks of unchanged code, on one thread and in one order.

A greenlet stands for a thread. Whoever sleeps or waits gives way to whoever is next on a heap of events, and time jumps
to that. Nothing real is waited for, and the same program gives the same history to the letter.

What the threads of one machine have in common is a `Process`: how far its clock is off, whether it is frozen, and
whether it still lives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from heapq import heappop, heappush, heappushpop
from typing import Any, Generic, Self, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

Result = TypeVar("Result")

OVER = -2  # no event is for a thread that has ended, or for a timer that was called off
IS_TIMER = -1  # in place of the number of a thread's wait
STARTS_AT = 1_800_000_000.0  # seconds since 1970, at which every history begins


class Killed(Exception):
    """The process that was to give a result is gone."""


class Process:
    """A machine, or an environment of one: threads started in it belong to it.

    Attributes
    ----------
    name
        for people.
    clock_error
        by how many seconds its clock is ahead.
    frozen_until
        none of its threads goes on before that (virtual time).
    killed
        its threads end instead of going on.
    region, role
        where it is, and in which role of AWS's it acts; empty outside of all, and for whoever has none.
    """

    def __init__(self, name: str, clock_error: float = 0.0) -> None:
        self.name = name
        self.clock_error = clock_error
        self.frozen_until = 0.0
        self.killed = False
        self.region = self.role = ""
        self.tasks: dict[Task, None] = {}  # those that live, in the order of their start

    def freeze(self, until: float) -> None:
        """Freezes it until then; one that is frozen for longer already stays so, for its threads wait for that."""
        self.frozen_until = max(self.frozen_until, until)


class Task(greenlet):  # type: ignore[misc]  # greenlet has no types
    """A virtual thread. When it has done its work it rests until there is more: a greenlet is dear to make.

    Attributes
    ----------
    process
        that of its present work.
    waits
        counts its waits; an event of an earlier one is void.
    """

    def __init__(self, time: VirtualTime, hub: greenlet) -> None:
        super().__init__(parent=hub)
        self._time = time
        self.waits = 0

    def begin(self, work: Callable[[], Any], process: Process, future: Future[Any] | None) -> None:
        """Gives it work; nobody asks for the result where there is no ``future``."""
        self._work, self.process, self._future = work, process, future
        process.tasks[self] = None

    def run(self) -> None:
        """Does its work, and what it is given later; it ends when its process is killed."""
        while True:
            value: Any = None
            error: Exception | None = None
            try:
                value = self._work()
            except GreenletExit:
                error = Killed()
            except Exception as raised:  # noqa: BLE001 - kept for whoever asks for the result
                error = raised
            self.waits = OVER if self.process.killed else self.waits + 1
            self.process.tasks.pop(self, None)
            if self._future is not None:
                self._future.settle(value, error)
            del value, error, self._work, self._future
            if self.waits == OVER:
                return
            self._time.rest(self)


class Timer:
    """An action that is due later, unless it is called off before; ``waits`` is as a thread's."""

    __slots__ = ("action", "waits")

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action
        self.waits = IS_TIMER

    def call_off(self) -> None:
        """Has it do nothing."""
        self.waits = OVER


class VirtualTime:
    """The hub.

    Attributes
    ----------
    now
        the true time, in seconds since 1970.
    process
        the process of the present thread.
    """

    def __init__(self, starts_at: float = STARTS_AT) -> None:
        self.now = starts_at
        # What is due, with its mark: an event is void when that is not its own any more.
        self._due: list[tuple[float, float, Any, int]] = []
        self._order = itertools.count()
        self._hub = getcurrent()
        self._tasks: list[Task] = []  # all of them, those that rest and those that have ended too
        self._resting: list[Task] = []
        self._outside = self.process = Process("outside")
        self._task: Any = None  # the present thread; only one of virtual time may sleep or wait

    # --- the hub

    def run(self, until: float) -> None:
        """Carries out everything that is due up to ``until``, and lets time be that."""
        due, outside = self._due, self._outside
        end = Timer(lambda: None)
        heappush(due, (max(until, self.now), math.inf, end, IS_TIMER))
        while True:
            at, _, what, waits = heappop(due)
            if what.waits != waits:
                continue
            self.now = max(self.now, at)
            if what is end:
                return
            if waits == IS_TIMER:
                what.action()
                continue
            self._task, self.process = what, what.process
            if what.process.killed:
                what.throw(GreenletExit)
            elif what.process.frozen_until > at:
                heappush(due, (what.process.frozen_until, next(self._order), what, waits))
            else:
                what.waits = waits + 1
                what.switch()
            self._task, self.process = None, outside

    def close(self) -> None:
        """Ends every thread; the history is over."""
        for task in self._tasks:
            task.process.killed = True
        for task in self._tasks:
            if not task.dead:
                self._task, self.process = task, task.process
                task.throw(GreenletExit)
        self._task, self.process = None, self._outside
        self._tasks.clear()
        self._due.clear()

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Has the hub call ``action``, which must not sleep or wait, at the true time ``when``."""
        heappush(self._due, (max(when, self.now), next(self._order), Timer(action), IS_TIMER))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Has the hub call ``action``, as `at` does, in so many seconds."""
        self.at(self.now + seconds, action)

    def timer(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Does what `after` does, and returns what calls it off."""
        timer = Timer(action)
        heappush(self._due, (self.now + seconds, next(self._order), timer, IS_TIMER))
        return timer

    # --- threads

    def spawn(self, work: Callable[[], Result], process: Process | None = None) -> Future[Result]:
        """Starts a thread, in the process of the present one unless another is given."""
        future: Future[Result] = Future(self)
        self._begin(work, process or self.process, future)
        return future

    def _begin(self, work: Callable[[], Any], process: Process, future: Future[Any] | None) -> None:
        if self._resting:
            task = self._resting.pop()
        else:
            task = Task(self, self._hub)
            self._tasks.append(task)
        task.begin(work, process, future)
        heappush(self._due, (self.now, next(self._order), task, task.waits))

    def rest(self, task: Task) -> None:
        """Lets the present thread, which has done its work, rest until it is given more."""
        self._resting.append(task)
        self._give_way(task)

    def kill(self, process: Process) -> None:
        """Ends a process: its threads go on no more, and whoever waits for a result of theirs gets `Killed`."""
        process.killed = True
        for task in process.tasks:
            heappush(self._due, (self.now, next(self._order), task, task.waits))

    def sleep(self, seconds: float) -> None:
        """Lets the present thread sleep."""
        self._wait_until(self.now + seconds if seconds > 0 else self.now, self._task)

    def wait(self, waiting: dict[Task, None], timeout: float | None) -> None:
        """Lets the present thread wait in ``waiting`` until `wake` is called with it, or the timeout is over."""
        task = self._task
        waiting[task] = None
        if timeout is None:
            self._give_way(task)
        else:
            self._wait_until(self.now + timeout if timeout > 0 else self.now, task)
        waiting.pop(task, None)

    def _wait_until(self, at: float, task: Task) -> None:
        """Lets the present thread wait until ``at``, or until somebody wakes it."""
        due, process = self._due, task.process
        if due and due[0][0] > at and not process.killed and process.frozen_until <= at:  # nothing happens before
            self.now = at
            task.waits += 1
        else:
            self._go_on_with(heappushpop(due, (at, next(self._order), task, task.waits)), task)

    def _give_way(self, task: Task) -> None:
        """Lets others go on until somebody wakes the present thread."""
        if self._due:
            self._go_on_with(heappop(self._due), task)
        else:
            self._hub.switch()

    def _go_on_with(self, first: tuple[float, float, Any, int], task: Task) -> None:
        """Lets what comes first go on, in place of the present thread: a thread at once, and all else by the hub."""
        due = self._due
        while True:
            at, _, what, waits = first
            if what.waits == waits:
                if waits == IS_TIMER:
                    break
                process = what.process
                if process.killed or process.frozen_until > at:
                    break
                if at > self.now:
                    self.now = at
                what.waits = waits + 1
                if what is not task:
                    self._task, self.process = what, process
                    what.switch()
                return
            if not due:
                self._hub.switch()
                return
            first = heappop(due)
        heappush(due, first)
        self._hub.switch()

    def wake(self, waiting: dict[Task, None]) -> None:
        """Lets every thread that waits there go on."""
        for task in waiting:  # one that was killed while it waited is among them still
            if task.waits != OVER:
                heappush(self._due, (self.now, next(self._order), task, task.waits))
        waiting.clear()

    # --- what takes the place of the standard library's names

    def time(self) -> float:
        """Returns what the present process takes for the time: as `time.time`."""
        return self.now + self.process.clock_error

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self.now

    def pool(self, workers: int | None = None) -> Pool:
        """As `concurrent.futures.ThreadPoolExecutor`."""
        return Pool(self, workers)

    def background(self, work: Callable[[], None], process: Process | None = None) -> None:
        """Starts a thread for whose result nobody waits, in the present process unless another is given."""
        self._begin(work, process or self.process, None)

    def event(self) -> Event:
        """As `threading.Event`."""
        return Event(self)


class Future(Generic[Result]):
    """As `concurrent.futures.Future`."""

    def __init__(self, virtual_time: VirtualTime) -> None:
        self._time = virtual_time
        self._waiting: dict[Task, None] = {}
        self._done = False
        self._value: Result | None = None
        self._error: Exception | None = None

    def settle(self, value: Result | None, error: Exception | None) -> None:
        """Gives it its result."""
        self._value, self._error, self._done = value, error, True
        self._time.wake(self._waiting)

    def done(self) -> bool:
        """Returns whether there is a result, or an error."""
        return self._done

    def result(self, timeout: float | None = None) -> Result:
        """Waits for the result.

        Raises
        ------
        TimeoutError
            there was none in so many seconds.
        Killed
            there will be none.
        """
        ends = None if timeout is None else self._time.now + timeout
        while not self._done:
            left = None if ends is None else ends - self._time.now
            if left is not None and left <= 0:
                raise TimeoutError
            self._time.wait(self._waiting, left)
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # settled with a result


class Event:
    """As `threading.Event`."""

    def __init__(self, virtual_time: VirtualTime) -> None:
        self._time = virtual_time
        self._set = False
        self._waiting: dict[Task, None] = {}

    def set(self) -> None:
        """Lets everybody go on who waits, now and later."""
        self._set = True
        self._time.wake(self._waiting)

    def is_set(self) -> bool:
        """Returns whether it is set."""
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set; returns whether it is."""
        if not self._set:
            self._time.wait(self._waiting, timeout)
        return self._set


class Pool:
    """As `concurrent.futures.ThreadPoolExecutor`: so many threads at most, and work that finds none waits its turn."""

    def __init__(self, virtual_time: VirtualTime, workers: int | None = None) -> None:
        self._time = virtual_time
        self._free = workers or 32
        self._queue: list[Callable[[], None]] = []
        self._all: list[Future[Any]] = []

    def submit(self, work: Callable[..., Result], *given: Any, **named: Any) -> Future[Result]:
        """Has a thread do the work."""
        future: Future[Result] = Future(self._time)
        self._all = [one for one in self._all if not one._done] + [future]

        def do() -> None:
            try:
                future.settle(work(*given, **named), None)
            except Exception as error:  # noqa: BLE001 - kept for whoever asks for the result
                future.settle(None, error)

        self._queue.append(do)
        if self._free:
            self._free -= 1
            self._time.background(self._work)
        return future

    def _work(self) -> None:
        try:
            while self._queue:
                self._queue.pop(0)()
        finally:
            self._free += 1

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Waits for all the work, as a pool does that is left; the threads of a process that is gone are gone."""
        if kind is not None and issubclass(kind, GreenletExit):
            return
        for future in self._all:
            while not future.done():
                self._time.wait(future._waiting, None)
