"""When people have to be told that automatic failover is, or was, off for longer than somebody meant. Pure.

A pause ends by itself, and nobody need think of it. But who works on a writer that is not well has to know before the
end that it will be moved then; a maintenance that nobody has ended was mostly forgotten, or is not done; and one that
is made longer again and again is a writer without a failover. The rules are the table in `overdue`.
"""

from __future__ import annotations

from handlers.core.control import ControlRecord

# Long enough for a person to look and to ask for more time; shorter than most maintenances.
TOLD_BEFORE_S = 600.0
# An alarm that rings for ever is looked at by nobody: long enough to ring, and the record shows the rest.
TOLD_AFTER_S = 900.0
LONGEST_S = 86_400.0  # of one pause; a row of them that lasts longer is told of


def overdue(record: ControlRecord, now: float) -> str | None:
    """Returns what people have to be told at ``now`` (seconds since 1970), in a sentence; None when nothing."""
    pause = record.paused
    if pause is None:
        return None
    what = "maintenance" if pause.maintenance else "pause"
    is_well = record.word is None and record.lease_expires_at is not None and now <= record.lease_expires_at
    rows: tuple[tuple[bool, str], ...] = (
        (
            pause.lasts(now) and pause.until - now <= TOLD_BEFORE_S and not is_well,
            f"the {what} of {pause.by} ends by itself soon, and the writer, which is not well, will be moved then",
        ),
        (
            pause.lasts(now) and now - pause.since > LONGEST_S,
            f"automatic failover has been off for more than a day: {pause.by} has made a {what} longer again",
        ),
        (
            pause.maintenance and 0 <= now - pause.until <= TOLD_AFTER_S,
            f"the maintenance of {pause.by} has ended by itself: nobody has said that the work is done",
        ),
    )
    return next((reason for fits, reason in rows if fits), None)
