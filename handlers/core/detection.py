"""Is the writer down, and when is the next attempt to move it due? Pure.

Two observers have to agree (P5). The first is the standby's own prober. The second is the writer's guardian, as the
control record shows it; what that means is the table in `guardian_seen`, the verdict is the table in `judge`, and what
follows from it is the table in `next_attempt`. Read each from the top, the first row that fits decides.

The verdict is a level, not an event: as long as it is *down*, attempts go on (P9). Nothing of that needs a memory. An
outage is named by the record's epoch and dated by the last sign of life in the record, so that every run of the monitor
counts the same attempts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from handlers.core.answers import Known
from handlers.core.claim import automation_is_off, is_free
from handlers.core.control import FIRST_EPOCH, ControlRecord
from handlers.core.health import Guardian, GuardianSeen
from handlers.core.lease import CLOCK_MARGIN_S, LEASE_S, NO_SIGN_S, REST_S, TIMES_IN_A_ROW
from handlers.core.request import Mode

# The monitor's own event, by which the first attempt is started without waiting for CloudWatch.
EVENT_SOURCE = "failover.monitor"
EVENT_TYPE = "Writer Down"

# Between two attempts: 15 s, 30 s, then a minute each. The first repeats what a lost event or a short blink has cost;
# later ones are for causes that take their time.
SLOT_S = 15.0
SLOTS_A_MINUTE = 4


# --- the second observer: the guardian, as the record shows it


def guardian_seen(record: ControlRecord, silent: bool, now: float, grace_s: float) -> GuardianSeen:
    """What the guardian of the writer says.

    Parameters
    ----------
    silent
        whether the record has shown no sign of life of it for three ticks, in whatever way that was found out.
    grace_s
        how long it may say that its database is down, or not known, before that counts.
    """
    word, sign = record.word, record.transition.writer_sign if record.transition else None
    rows: tuple[tuple[bool, Guardian, str], ...] = (
        (
            record.lease_expires_at is None and record.epoch == FIRST_EPOCH,
            "unknown",
            "the first writer has had no lease yet: it is being set up",
        ),
        (silent, "silent", f"its guardian has given no sign of life for {NO_SIGN_S:.0f} s"),
        (
            word is not None and now - word.since > grace_s,
            "says down",
            f"its guardian has said for {now - (word.since if word else now):.0f} s that its database is "
            f"{_in_words(word.says) if word else ''}",
        ),
        (
            # While a run stops or moves the writer its guardian gives no word, and has nothing to wait for.
            sign is not None and sign.says == "down",
            "says down",
            "its guardian says that its database is down",
        ),
        (True, "alive", "its guardian lives"),
    )
    says, reason = next((says, reason) for fits, says, reason in rows if fits)
    return GuardianSeen(says, reason)


def last_sign_at(record: ControlRecord) -> float | None:
    """When the writer's guardian wrote last, in seconds since 1970 by its own clock; None when it never has.

    While a run stops or moves the writer, only the lock is signed; the lock's own beginning counts as a sign.
    """
    held = record.transition
    if held and held.phase != "checking":
        signed_at = held.writer_sign.at if held.writer_sign else 0.0
        return max(signed_at, held.began_at)
    signs = []
    if record.lease_expires_at is not None:
        signs.append(record.lease_expires_at - LEASE_S)
    if record.word and record.word.rests_until is not None:
        signs.append(record.word.rests_until - REST_S)
    return max(signs, default=None)


def is_silent(record: ControlRecord, now: float) -> bool:
    """Whether the record shows no sign of life for three ticks, for whoever looks at it only once.

    It compares the clocks of two regions. The monitor, which looks often, compares readings instead. A sign of times to
    come says that a clock is wrong, and nothing of the guardian; `handlers.core.lease` judges that.
    """
    last = last_sign_at(record)
    return last is None or now - last > NO_SIGN_S or last > now + CLOCK_MARGIN_S


# --- what the standby's monitor has seen


class Detection(NamedTuple):
    """What the standby's monitor remembers of its ticks.

    Attributes
    ----------
    writer
        what its prober last knew of the writer.
    failures
        how many times in a row it found the writer down.
    reached_at
        when it last found the writer up (seconds since 1970).
    sign
        what the record last showed that a living guardian would have changed.
    sign_seen_at
        when it was first seen (seconds since 1970).
    readings
        how many readings since then have shown nothing else.
    """

    writer: Known = "unknown"
    failures: int = 0
    reached_at: float | None = None
    sign: tuple[Any, ...] | None = None
    sign_seen_at: float = 0.0
    readings: int = 0

    @property
    def silent(self) -> bool:
        """Whether the record has shown no sign of life for three ticks."""
        return self.readings >= TIMES_IN_A_ROW


def saw(before: Detection, writer: Known, record: ControlRecord | None, now: float) -> Detection:
    """Returns what is remembered after one more tick; what could not be found out changes nothing.

    ``writer`` is what the prober knows of it, ``record`` the control record; None when no replica shows it.
    """
    after = before
    if writer != "unknown":
        failures = before.failures + 1 if writer == "down" else 0
        reached_at = now if writer == "up" else before.reached_at
        after = after._replace(writer=writer, failures=failures, reached_at=reached_at)
    if record is not None:
        sign = _sign(record)
        if sign == before.sign:
            return after._replace(readings=before.readings + 1)
        return after._replace(sign=sign, sign_seen_at=now, readings=0)
    return after


# --- the verdict


class Verdict(NamedTuple):
    """Whether the writer is down, why, and since when (seconds since 1970) if it is."""

    known: Known
    reason: str
    since: float = 0.0


def judge(seen: Detection, record: ControlRecord | None, now: float, grace_s: float) -> Verdict:
    """Returns the verdict of both observers; ``grace_s`` as in `guardian_seen`."""
    if record is None:
        return Verdict("unknown", "the control record cannot be read")
    guardian = guardian_seen(record, seen.silent, now, grace_s)
    rows: tuple[tuple[bool, Known, str], ...] = (
        (guardian.says == "unknown", "unknown", guardian.reason),
        (seen.writer == "unknown", "unknown", "the prober has given no answer about the writer"),
        (seen.writer == "up", "up", "the writer answers this region"),
        (
            seen.failures < TIMES_IN_A_ROW,
            "unknown",
            f"the writer has not answered this region {seen.failures} times in a row; {TIMES_IN_A_ROW} count",
        ),
        (guardian.says == "alive", "up", f"the writer does not answer this region, but {guardian.reason}"),
        (True, "down", f"the writer does not answer this region, and {guardian.reason}"),
    )
    known, reason = next((known, reason) for fits, known, reason in rows if fits)
    return Verdict(known, reason, _down_since(seen, record, now, grace_s) if known == "down" else 0.0)


def _down_since(seen: Detection, record: ControlRecord, now: float, grace_s: float) -> float:
    """Returns when the verdict became *down*, or would have for a monitor that ran at that time.

    A clock that is ahead may date a sign into the future: it is never later than it was seen.
    """
    if seen.silent or record.word is None:
        last = last_sign_at(record)
        since = min(seen.sign_seen_at if last is None else last, seen.sign_seen_at) + NO_SIGN_S
    else:
        since = record.word.since + grace_s
    reached = 0.0 if seen.reached_at is None else seen.reached_at + NO_SIGN_S
    return min(now, max(since, reached))


# --- the attempts


class Attempt(NamedTuple):
    """One start of the workflow by the monitor.

    ``number`` counts those of an outage from 1. ``slot`` is the moment for which it is due, so that two monitors that
    have seen the same make one of it.
    """

    mode: Mode
    epoch: int
    number: int
    slot: int

    @property
    def name(self) -> str:
        """The execution's name."""
        return f"attempt-{self.epoch}-{self.slot}"

    def asked(self, at: str) -> dict[str, Any]:
        """Returns the execution's input; ``at``: the moment of asking, such as ``2026-01-02T03:04:05Z``."""
        return {
            "mode": self.mode,
            "started_by": "monitor",
            "automatic": True,
            "epoch": self.epoch,
            "attempt": self.number,
            "asked_at": at,
        }


def next_attempt(
    record: ControlRecord,
    verdict: Verdict,
    *,
    holder_is_over: bool | None,
    over_since: float,
    fails_over: bool,
    now: float,
) -> Attempt | None:
    """Returns the attempt that is due now; None when none is.

    Parameters
    ----------
    holder_is_over
        whether the run that holds the lock has ended; None when that is not known, or nobody holds it.
    over_since
        since when that is known (seconds since 1970).
    fails_over
        whether the deployment's settings want failovers by themselves; where they want rehearsals, the alarm alone
        starts one.
    """
    held = record.transition
    wanted: tuple[tuple[bool, Mode | None, float], ...] = (
        (not record.protected, None, 0.0),  # there is no standby
        (not is_free(record, holder_is_over, now), None, 0.0),  # somebody is at work
        (automation_is_off(record, now) is not None, None, 0.0),
        (record.claims_from is not None and record.claims_from > now, None, 0.0),
        (fails_over and verdict.known == "down", "failover", verdict.since),
        # A lock that keeps the writer closed, of a run that will not give it back, is a reason by itself.
        (held is not None and held.phase != "checking", held.mode if held else None, over_since),
    )
    mode, since = next(((mode, since) for fits, mode, since in wanted if fits), (None, 0.0))
    if mode is None:
        return None
    passed = int(max(0.0, now - since) // SLOT_S)
    due = passed in (0, 1) or passed % SLOTS_A_MINUTE == SLOTS_A_MINUTE - 1
    if not due:
        return None
    number = passed + 1 if passed < SLOTS_A_MINUTE - 1 else 3 + passed // SLOTS_A_MINUTE
    return Attempt(mode, record.epoch, number, int((since + passed * SLOT_S) // SLOT_S))


def _sign(record: ControlRecord) -> tuple[Any, ...]:
    """Returns what every write of a living guardian changes; a lock that moves on begins anew."""
    held = record.transition
    lock = (held.run, held.phase, held.writer_sign) if held and held.phase != "checking" else None
    return (record.epoch, record.lease_expires_at, record.word, lock)


def _in_words(says: Known) -> str:
    return "not known" if says == "unknown" else says
