"""What would happen if the writer's region died now, in one sentence. Pure.

Whether an automatic start would be let through is asked of the very rules of the claim; nothing of them is repeated
here. The first row that fits decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from failoverctl.words import clock
from handlers.core.claim import decide_claim
from handlers.core.control import ControlRecord
from handlers.core.detection import guardian_seen, is_silent
from handlers.core.lease import CLOCK_MARGIN_S, LEASE_S
from handlers.core.request import Request, incident_of
from orchestration.settings import Settings

Kind = Literal["automatic", "asks", "moving", "down", "nothing", "unknown"]

# From the writer's last renewal to the request to RDS: the lease, and what clocks may be apart. Detection and checks
# are over before that.
UNTIL_MOVED_S = LEASE_S + CLOCK_MARGIN_S


@dataclass(frozen=True)
class Outlook:
    """What would happen, in a word for programs and in a sentence for people."""

    kind: Kind
    sentence: str


def outlook_by_record(record: ControlRecord, settings: Settings, now: float) -> Outlook:
    """Returns `outlook` as far as the record tells: the standby and the runs are seen to by whoever asks."""
    return outlook(record, settings, now, holder_is_over=None, lag_ms=None, standby_answers=True)


def outlook(
    record: ControlRecord,
    settings: Settings,
    now: float,
    *,
    holder_is_over: bool | None,
    lag_ms: float | None,
    standby_answers: bool,
    asks_until: float | None = None,
) -> Outlook:
    """Returns what would become of the writer if its region died at ``now`` (seconds since 1970).

    Parameters
    ----------
    holder_is_over
        whether the run that holds the lock has ended; None when that is not known, or nobody holds it.
    lag_ms
        the standby's replication lag, where it is known.
    standby_answers
        whether the standby's region, which would do the work, answers at all.
    asks_until
        until when the run that holds the lock waits for a person (seconds since 1970), where it does.
    """
    writer = record.writer_region
    standby = next(region for region in settings.regions if region != writer)
    held, guardian = (
        record.transition,
        guardian_seen(record, is_silent(record, now), now, settings.thresholds.recovery_grace_s),
    )
    claim = decide_claim(
        record,
        Request("failover", "the outlook", incident_of(record.epoch), standby, automatic=True, epoch=record.epoch),
        "the outlook",
        now,
        settings.thresholds.cool_down_minutes * 60,
        holder_is_over=holder_is_over,
    )
    budget_ms = settings.thresholds.rpo_budget_ms
    if_died = f"If {writer} died now"
    run, mode, phase = (held.run, held.mode, held.phase) if held else ("", "", "")
    works = held is not None and holder_is_over is not True
    rows: tuple[tuple[bool, Kind, str], ...] = (
        (
            asks_until is not None,
            "asks",
            f"Run {run} waits for a person until {clock(asks_until or 0, now)}: `failoverctl approve`, or reject.",
        ),
        (
            works and phase != "checking",
            "moving",
            f"The writer is being moved from {writer} to {standby} by run {run}: `failoverctl watch`.",
        ),
        (works, "moving", f"Run {run} looks whether to move the writer from {writer}: `failoverctl watch`."),
        (
            record.reprotection is not None,
            "nothing",
            f"{if_died}: nothing could take over, for there is no standby; run "
            f"{record.reprotection.run if record.reprotection else ''} builds one.",
        ),
        (
            not record.protected,
            "nothing",
            f"{if_died}: nothing could take over, for there is no standby; build one with "
            "`failoverctl start --mode reprotect`.",
        ),
        (
            not standby_answers,
            "unknown",
            f"{if_died}: cannot tell, for {standby}, which would take over, gives no answer.",
        ),
        (
            settings.trigger_mode == "rehearsal",
            "nothing",
            f'{if_died}: only a rehearsal would start (trigger_mode is "rehearsal"); a person would have to start the '
            "failover.",
        ),
        (claim.decision != "proceed", "nothing", f"{if_died}: no automatic failover now, for {claim.reason}."),
        (
            phase in ("stopping", "moving"),
            "automatic",
            f"Run {run} ({mode}, {phase}) has stopped half way: the next attempt takes over from it by itself; now: "
            f"`failoverctl start --mode {mode} --resumes {run}`.",
        ),
        (
            guardian.says in ("silent", "says down"),
            "down",
            f"{writer} may be down already, for {guardian.reason}: look again in some seconds, and at "
            "`failoverctl runs`.",
        ),
        (guardian.says == "unknown", "nothing", f"{if_died}: no automatic failover now, for {guardian.reason}."),
        (
            lag_ms is not None and lag_ms > budget_ms,
            "asks",
            f"{if_died}: {standby} would ask a person first, for the lag of {lag_ms or 0:.0f} ms is over the budget of "
            f"{budget_ms} ms.",
        ),
        (
            True,
            "automatic",
            f"{if_died}: automatic failover to {standby}, about {UNTIL_MOVED_S:.0f} s + Aurora's promotion.",
        ),
    )
    kind, sentence = next((kind, sentence) for fits, kind, sentence in rows if fits)
    return Outlook(kind, sentence)
