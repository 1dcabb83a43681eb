"""Virtual time: threads, pools, sleeps and clocks of unchanged code, on one thread and in one order.

A greenlet stands for a thread. Whoever sleeps or waits gives way to whoever is next on a heap of events, and time jumps
to that. Nothing real is waited for, and the same program gives the same history to the letter.

What the threads of one machine have in common is a `Process`: how far its clock is off, whether it is frozen, and
whether it still lives.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

Result = TypeVar("Result")

OVER = -2  # no event is for a thread that has ended
IS_ACTION = -1  # in place of the number of a thread's wait
IS_TIMER = -3  # the same, of an action that may be called off
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
    """

    def __init__(self, name: str, clock_error: float = 0.0) -> None:
        self.name = name
        self.clock_error = clock_error
        self.frozen_until = 0.0
        self.killed = False
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
    """An action that is due later, unless it is called off before: ``action`` is None then."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def call_off(self) -> None:
        """Has it do nothing."""
        self.action = None


class VirtualTime:
    """The hub. ``now`` is the true time, in seconds since 1970."""

    def __init__(self, starts_at: float = STARTS_AT) -> None:
        self.now = starts_at
        self._due: list[tuple[float, int, Any, int]] = []  # a thread, an action or a timer, each with its mark
        self._order = itertools.count()
        self._until = starts_at  # as far as `run` goes
        self._hub = getcurrent()
        self._tasks: list[Task] = []  # all of them, those that rest and those that have ended too
        self._resting: list[Task] = []
        self._outside = Process("outside")

    # --- the hub

    def run(self, until: float) -> None:
        """Carries out everything that is due up to ``until``, and lets time be that."""
        due, pop = self._due, heapq.heappop
        self._until = until
        while due and due[0][0] <= until:
            at, _, what, waits = pop(due)
            if at > self.now:
                self.now = at
            if waits == IS_ACTION:
                what()
                continue
            task: Any = what  # a thread, as everything else is, or a timer
            if waits == IS_TIMER:
                if task.action is not None:
                    task.action()
                continue
            if task.waits != waits:
                continue
            process = task.process
            if process.killed:
                task.throw(GreenletExit)
            elif process.frozen_until > at:
                heapq.heappush(due, (process.frozen_until, next(self._order), task, waits))
            else:
                task.waits = waits + 1
                task.switch()
        self.now = max(self.now, until)

    def close(self) -> None:
        """Ends every thread; the history is over."""
        for task in self._tasks:
            task.process.killed = True
        for task in self._tasks:
            if not task.dead:
                task.throw(GreenletExit)
        self._tasks.clear()
        self._due.clear()

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Has the hub call ``action``, which must not sleep or wait, at the true time ``when``."""
        heapq.heappush(self._due, (max(when, self.now), next(self._order), action, IS_ACTION))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Has the hub call ``action``, as `at` does, in so many seconds."""
        self.at(self.now + seconds, action)

    def timer(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Does what `after` does, and returns what calls it off."""
        timer = Timer(action)
        heapq.heappush(self._due, (self.now + seconds, next(self._order), timer, IS_TIMER))
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
        heapq.heappush(self._due, (self.now, next(self._order), task, task.waits))

    def rest(self, task: Task) -> None:
        """Lets the present thread, which has done its work, rest until it is given more."""
        self._resting.append(task)
        self._give_way(task)

    @property
    def process(self) -> Process:
        """The process of the present thread."""
        current = getcurrent()
        return current.process if isinstance(current, Task) else self._outside

    def kill(self, process: Process) -> None:
        """Ends a process: its threads go on no more, and whoever waits for a result of theirs gets `Killed`."""
        process.killed = True
        for task in process.tasks:
            heapq.heappush(self._due, (self.now, next(self._order), task, task.waits))

    def sleep(self, seconds: float) -> None:
        """Lets the present thread sleep."""
        task: Task = getcurrent()  # only a thread of virtual time may sleep or wait
        self._wait_until(self.now + seconds if seconds > 0 else self.now, task)

    def wait(self, waiting: dict[Task, None], timeout: float | None) -> None:
        """Lets the present thread wait in ``waiting`` until `wake` is called with it, or the timeout is over."""
        task: Task = getcurrent()  # as above
        waiting[task] = None
        if timeout is None:
            self._give_way(task)
        else:
            self._wait_until(self.now + timeout if timeout > 0 else self.now, task)
        waiting.pop(task, None)

    def _wait_until(self, at: float, task: Task) -> None:
        """Lets the present thread wait until ``at``, or until somebody wakes it."""
        due, process = self._due, task.process
        if (due and due[0][0] <= at) or at > self._until or process.killed or process.frozen_until > at:
            heapq.heappush(due, (at, next(self._order), task, task.waits))
            self._give_way(task)
        else:  # nothing happens before
            self.now = at
            task.waits += 1

    def _give_way(self, task: Task) -> None:
        """Lets others go on: the next thread at once, and the hub where it is more than that."""
        due = self._due
        while due:
            at, _, what, waits = due[0]
            if waits == IS_ACTION or at > self._until:
                break
            following: Any = what  # a thread, as everything else is, or a timer
            if waits == IS_TIMER:
                if following.action is not None:
                    break
                heapq.heappop(due)
                continue
            if following.waits != waits:
                heapq.heappop(due)
                continue
            process = following.process
            if process.killed or process.frozen_until > at:
                break
            heapq.heappop(due)
            if at > self.now:
                self.now = at
            following.waits = waits + 1
            if following is not task:
                following.switch()
            return
        self._hub.switch()

    def wake(self, waiting: dict[Task, None]) -> None:
        """Lets every thread that waits there go on."""
        for task in waiting:  # one that was killed while it waited is among them still
            if task.waits != OVER:
                heapq.heappush(self._due, (self.now, next(self._order), task, task.waits))
        waiting.clear()

    # --- what takes the place of the standard library's names

    def time(self) -> float:
        """Returns what the present process takes for the time: as `time.time`."""
        task: Task = getcurrent()  # nobody else asks
        return self.now + task.process.clock_error

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
        self._all = [one for one in self._all if not one.done()] + [future]

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
