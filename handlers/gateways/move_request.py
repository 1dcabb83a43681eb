"""Requests to RDS to move the writer, noted in the lock before they are sent: from then on there is no way back."""

from __future__ import annotations

import time
from collections.abc import Callable

from handlers.core.errors import DetachRejected, MoveUncertain, SwitchoverRejected
from handlers.gateways.control_table import ControlTable


def send(control: ControlTable, run: str, request: Callable[[], None], is_done: Callable[[], bool]) -> bool:
    """Notes the request and sends it; False when RDS refuses it and ``is_done`` says that it was done before.

    Raises
    ------
    DetachRejected, SwitchoverRejected
        RDS refused; nothing was changed, and the note is taken back.
    MoveUncertain
        RDS refused after an earlier request whose answer was lost: it may be working on that one.
    LockLost
        the run does not hold the lock, or has not committed to move.
    WordLives
        the old writer's guardian may rest unfenced by its word for some seconds more.
    """
    requests = control.begin_request(run, time.time())
    try:
        request()
    except (DetachRejected, SwitchoverRejected) as error:
        # RDS refuses to do it twice: an earlier run, or a request whose answer was lost, may have done it.
        if is_done():
            return False
        if requests > 1 or not control.end_request(run):
            raise MoveUncertain(f"{error}; an earlier request of this run got no answer") from error
        raise
    return True
