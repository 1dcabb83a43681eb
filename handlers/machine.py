"""The machine that a handler runs on: its clock and its threads, in one place.

Code that takes them from here can also run in virtual time, on one thread and from one seed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """Clock and threads; the real ones by default.

    Attributes
    ----------
    now
        seconds since 1970.
    monotonic
        seconds since some moment, unaffected by corrections of the clock.
    sleep
        waits that many seconds.
    pool
        provides that many threads, for work whose result somebody waits for.
    background
        starts work on a thread of its own, which does not keep the process alive.
    event, lock
        make one of each.
    """

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    pool: Callable[[int], Executor] = ThreadPoolExecutor
    background: Callable[[Callable[[], None]], None] = lambda work: threading.Thread(target=work, daemon=True).start()
    event: Callable[[], threading.Event] = threading.Event
    lock: Callable[[], threading.Lock] = threading.Lock
