"""Requests to RDS to move the writer, noted in the lock before they are sent.

From the note on there is only the way forward, unless RDS says that it has not taken the request and no other one is
noted: then the note is taken back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from handlers.core.errors import DetachRejected, RdsBusy, SwitchoverRejected, TransientFailure, Unanswered
from handlers.gateways.control_table import ControlTable


def send(
    control: ControlTable, run: str, request: Callable[[], None], is_done: Callable[[], bool], *, may_wait: bool = False
) -> str | None:
    """Notes the request and sends it; returns None when RDS has taken it.

    Otherwise it returns why it is not known whether RDS is at work for this run, which only a session that can write
    tells: there was no answer, or RDS refuses after an earlier request, which it may be working on or have done.

    Parameters
    ----------
    is_done
        whether RDS shows the writer as moved, or is moving it.
    may_wait
        when RDS is busy the run goes back to looking, where a writer that recovers stops it: a failover's way.

    Raises
    ------
    RdsBusy, DetachRejected, SwitchoverRejected
        RDS has not taken the request, nor any other, and the note is taken back.
    TransientFailure
        RDS has not taken the request; or the control table does not answer.
    WordLives
        the old writer's guardian may rest unfenced by its word for some seconds more.
    LockLost
        the run does not hold the lock, has not committed to move, or a person wants it to stop.
    """
    requests = control.begin_request(run, time.time())
    try:
        request()
    except Unanswered as error:
        return str(error)
    except TransientFailure:
        if requests == 1:
            control.end_request(run)
        raise
    except (RdsBusy, DetachRejected, SwitchoverRejected) as error:
        go_back = may_wait and isinstance(error, RdsBusy)
        if requests == 1 and not is_done() and _take_back(control, run, go_back=go_back):
            raise
        return str(error)
    return None


def _take_back(control: ControlTable, run: str, *, go_back: bool) -> bool:
    """Takes back the note of the only request, which RDS has not taken; False when there is another one by now."""
    if go_back:
        return control.give_note_back(run, control.read().lease_expires_at)
    return control.end_request(run)
