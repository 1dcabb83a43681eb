"""The panel of the dashboard: what the control record says now, for whoever is woken. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from handlers.core.control import ControlRecord
from handlers.core.lease import LEASE_S
from handlers.report.facts import RPO_TARGET_S, RTO_TARGET_S
from handlers.report.words import seconds


def panel(record: ControlRecord, last: Mapping[str, Any] | None, now: float) -> str:
    """Returns the panel as HTML; ``last`` is what is kept of the run that moved the writer last, ``now`` since 1970."""
    facts = [
        ("Writer", f"{record.writer_region}, epoch {record.epoch}"),
        ("Lease", _lease(record, now)),
        ("Guardian", f"says {record.word.says}, for {seconds(now - record.word.since, 0)}" if record.word else None),
        ("Standby", "protected" if record.protected else "NONE: the writer is not protected"),
        ("Automatic failover", _automatic(record, now)),
        ("Run at work", _at_work(record, now)),
        ("Told last", _told(record, now)),
        ("Last move", _last(record, last, now)),
    ]
    lines = "".join(
        f"<tr><th align=left>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts if value
    )
    return f"<table>{lines}</table>"


def _lease(record: ControlRecord, now: float) -> str:
    if record.lease_expires_at is None:
        return "none yet in this epoch"
    left = record.lease_expires_at - now
    state = f"ends in {seconds(left)}" if left > 0 else f"OVER for {seconds(-left)}"
    return f"last sign of life {seconds(LEASE_S - left)} ago, {state}"


def _automatic(record: ControlRecord, now: float) -> str:
    if not record.automatic_failover:
        return "OFF"
    if record.paused and now < record.paused.until:
        left = seconds(record.paused.until - now, 0)
        return f"PAUSED by {record.paused.by} for {left} more: {record.paused.reason}"
    if record.ended_by_person:
        return f"ENDED for this epoch by {record.ended_by_person.by}: {record.ended_by_person.reason}"
    return "on"


def _at_work(record: ControlRecord, now: float) -> str:
    held = record.transition
    if held is not None:
        asked = f", RDS asked {held.move_requests} times" if held.move_requests else ""
        wanted = f", a person wants it to {held.wanted}" if held.wanted else ""
        return f"{held.run}: {held.mode}, {held.phase}, for {seconds(now - held.started_at, 0)}{asked}{wanted}"
    if record.reprotection is not None:
        return f"{record.reprotection.run}: re-protection"
    return "none"


def _told(record: ControlRecord, now: float) -> str | None:
    told = record.told
    return f"{seconds(now - told.at, 0)} ago, of {told.about}: {told.reason}" if told else None


def _last(record: ControlRecord, last: Mapping[str, Any] | None, now: float) -> str | None:
    if record.last_run is None:
        return None
    ago = f"{seconds(now - record.last_transition_at, 0)} ago" if record.last_transition_at else "at a time not known"
    if last is None:
        return f"{record.last_run}, {ago}; its record is in the other region or is not written yet"
    rto, rpo = last.get("rto_s"), last.get("rpo_ms")
    cost = f"RTO {seconds(None if rto is None else float(rto))} (target {RTO_TARGET_S:g} s)"
    lost = f"RPO {seconds(None if rpo is None else float(rpo) / 1000, 3)} (target {RPO_TARGET_S:g} s)"
    return f"{record.last_run}, {ago}: {cost}, {lost}"
