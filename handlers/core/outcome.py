"""How a run of the failover workflow ended, in words for people. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from handlers.core.claim import Claim, automation_is_off
from handlers.core.control import ControlRecord
from handlers.core.ending import End, done_and_open
from handlers.core.failover_progress import FailoverProgress
from handlers.core.health import Health
from handlers.core.lag import Lag
from handlers.core.message import Message, Workflows, command, start_command, whereabouts
from handlers.core.progress import result_of
from handlers.core.request import incident_of
from handlers.core.results import Lease
from handlers.core.told import BEGUN, same_reason

Outcome = Literal["begun", "lasts", "recovered", "rehearsed", "refused", "aborted", "needs_person"]

HEADLINES: dict[Outcome, str] = {
    "begun": "{what} has begun: {target} is to become the writer",
    "lasts": "{what} goes on: {target} does not take writes yet",
    "recovered": "{what} done: {target} is the writer",
    "rehearsed": "Failover rehearsed: nothing was changed",
    "refused": "{what} refused: nothing was changed",
    "aborted": "{what} aborted: the writer stays in its region",
    "needs_person": "{WHAT} STOPPED HALF WAY: a person is needed",
}

# What moves the writer, in order: the part of the progress that is there when it is done, and the words for it.
MILESTONES = {
    "moved": "the standby's cluster is {way}, and the writer switch is engaged",
    "commit": "the control record names the new writer",
    "recovery": "a write through the public name arrived in the new writer region",
}


class FailoverEnd(End[Outcome, FailoverProgress]):
    """The end of a run of the failover workflow."""

    @classmethod
    def read(cls, event: object) -> FailoverEnd:
        """Reads the event of RecordRun and Notify; `InvalidRequest` names what is wrong with it."""
        return cls.of(event, HEADLINES, FailoverProgress)

    @property
    def claim(self) -> Claim | None:
        """What Claim answered."""
        return result_of(self.progress.claim)

    @property
    def is_duplicate(self) -> bool:
        """Whether another run has done the work or is doing it, and tells people how that ends."""
        return self.outcome == "refused" and self.claim is not None and self.claim.decision == "duplicate"

    @property
    def told_as(self) -> tuple[str, str] | None:
        """The incident that people are told of, and the reason why its writer has not moved, to be told once.

        None where they are told of this run in any case: one that a person has started, and every other end.
        """
        claim = self.claim
        if claim is None or claim.incident != incident_of(claim.epoch):
            return None
        if self.outcome == "begun":
            return claim.incident, BEGUN
        return (claim.incident, same_reason(self.blocked_by)) if self.outcome in ("refused", "aborted") else None

    @property
    def leaves_writer(self) -> bool:
        """Whether the writer may be where it was, so that another attempt may have to come."""
        return self.outcome in ("refused", "aborted", "needs_person") and self.progress.commit is None

    @property
    def verdicts(self) -> list[tuple[str, Health | Lag | Lease]]:
        """What the run has found, in its order, each under its name."""
        found = (
            ("Health", result_of(self.progress.assessment.health)),
            ("Replication lag", result_of(self.progress.assessment.lag)),
            ("Lease", result_of(self.progress.lease)),
            ("Lease", result_of(self.progress.approved_lease)),
        )
        return [(title, verdict) for title, verdict in found if verdict is not None]

    @property
    def blocked_by(self) -> str:
        """What keeps the writer where it is, as far as this run has found out."""
        no_go = [verdict.reason for _, verdict in self.verdicts if not verdict.proceed]
        claimed = [self.claim.reason] if self.claim and self.claim.decision != "proceed" else []
        return "; ".join((*claimed, *no_go, *self.causes)) or self.outcome

    @property
    def is_switchover(self) -> bool:
        """Whether a switchover was asked for."""
        return self.claim is not None and self.claim.mode == "switchover"

    @property
    def target(self) -> str:
        """The region that was to become the writer."""
        return self.claim.target_region if self.claim else "the standby region"

    @property
    def approved_by(self) -> str | None:
        """Who accepted the loss, where somebody had to and the run proceeded on that."""
        lease = result_of(self.progress.approved_lease)
        return lease.approved_by if lease else None

    @property
    def causes(self) -> list[str]:
        """The errors that the workflow caught, as sentences."""
        # RDS may have been busy at first, and giving the lock back may fail after anything else.
        caught = (self.progress.rds_busy, self.progress.error, self.progress.release_error)
        return [error.sentence for error in caught if error is not None]


def message(end: FailoverEnd, workflows: Workflows, record: ControlRecord | None, now: float) -> Message:
    """Says how the run ended, why, what was done and what was not, what is at risk now, and the command to go on.

    ``record`` as it is after the run, and None where it cannot be read: it is asked for only where the run
    `FailoverEnd.leaves_writer`. ``now`` in seconds since 1970.
    """
    what = "Switchover" if end.is_switchover else "Failover"
    headline = HEADLINES[end.outcome].format(target=end.target, what=what, WHAT=what.upper())
    lines = [headline, "", *whereabouts(workflows.failover, end.run), *_reasons(end)]
    if end.outcome == "needs_person":
        lines += ["", *_progress(end)]
    elif end.outcome in ("begun", "lasts"):
        lines += ["", "You will be told how it ends. To see how far it is, open the link."]
    elif end.outcome == "recovered":
        commit = result_of(end.progress.commit)
        lines += [f"Writer region: {end.target}, epoch {commit.epoch if commit else 'unknown'}", *_measured(end)]
    elif end.outcome == "rehearsed":
        lines += ["", *_rehearsal(end)]
    attempts = no_attempt(workflows.failover, record, now) if end.leaves_writer else []
    return Message.of([*lines, "", *_at_risk(end), *attempts, *NEXT[end.outcome](end, workflows)])


def _reasons(end: FailoverEnd) -> list[str]:
    claim = end.claim
    lines = []
    if claim:
        lines += [f"Started by: {claim.started_by}", f"Incident: {claim.incident}", f"Claim: {claim.reason}"]
    lines += [f"{title}: {'go' if verdict.proceed else 'no go'}: {verdict.reason}" for title, verdict in end.verdicts]
    if end.approved_by:
        lines.append(f"Loss approved by: {end.approved_by}")
    return [*lines, *(f"Error: {cause}" for cause in end.causes), *end.gaps]


def _measured(end: FailoverEnd) -> list[str]:
    """Returns what the move cost, each value with how finely it is known."""
    record = result_of(end.progress.record)
    if record is None:
        return ["What it cost is not known, because the record of the run was not kept."]
    resolution = record.rpo_resolution_ms
    lines = []
    if record.rto_s is not None:
        since = "fence" if end.is_switchover else "last heartbeat"
        lines.append(f"Outage, from the writer's {since} to the proved write: {record.rto_s:.1f} s")
        if not end.is_switchover:
            lines.append(f"It may have begun up to {resolution / 1000:.1f} s later than that heartbeat.")
    if end.is_switchover:
        return [*lines, "Lost: nothing; the old writer was fenced first, and its last write was waited for."]
    if record.rpo_ms is None:
        lines.append("Lost: not known; a heartbeat is missing to compare with.")
    else:
        least, most = max(0.0, record.rpo_ms - resolution), record.rpo_ms + resolution
        lines.append(
            f"Lost, by heartbeats: between {least:.0f} and {most:.0f} ms of writes, if the old writer stopped with its "
            f"last heartbeat; they come every {resolution:.0f} ms"
        )
    if record.rpo_at_most_ms is not None:
        lines.append(f"Lost at most: {record.rpo_at_most_ms:.0f} ms of writes; then the old writer was seen fenced")
        return lines
    lines.append("Nothing bounds the loss: nobody has seen the old writer fenced.")
    if record.rpo_if_guarded_ms is not None:
        lines.append(f"If its own guardian has fenced it in time, at most {record.rpo_if_guarded_ms:.0f} ms are lost.")
    return lines


def _rehearsal(end: FailoverEnd) -> list[str]:
    """Returns what a failover would do now, and how long the checks took."""
    assessment = end.progress.assessment
    health, lag = result_of(assessment.health), result_of(assessment.lag)
    if health is None or lag is None:
        return ["What a failover would do now is not known."]
    if not health.proceed:
        would = "refuse, because no failover is due"
    elif not lag.proceed:
        would = "wait for the end of the writer's lease, then ask people whether the loss may be accepted"
    else:
        would = f"wait for the end of the writer's lease, then make {end.target} the writer without asking"
    timings = [check.timing for check in assessment.steps if check.timing]
    lines = [f"A failover would now {would}."]
    if timings:
        took = max(timing.ended for timing in timings) - min(timing.began for timing in timings)
        lines.append(f"The checks took {took:.1f} s; Aurora's promotion comes on top, and was not rehearsed.")
    return lines


def _progress(end: FailoverEnd) -> list[str]:
    way = "the writer by a switchover" if end.is_switchover else "detached and promoted"
    milestones = {part: words.format(way=way) for part, words in MILESTONES.items()}
    nothing, still_open = "nothing for certain", "Not done, or not certain"
    return done_and_open(milestones, end.progress.reached, nothing=nothing, still_open=still_open)


def _at_risk(end: FailoverEnd) -> list[str]:
    """Says what is not safe as things stand."""
    old = end.claim.writer_region if end.claim else "the old writer's region"
    health = result_of(end.progress.assessment.health)
    if end.outcome == "recovered" and not end.is_switchover:
        fence = result_of(end.progress.moved.fence)
        lines = ["At risk now: there is no standby; until there is one, no failover is possible."]
        if fence is None or not fence.writes_ended:
            lines.append(
                f"The old writer in {old} is not known to be fenced; the guardian in {end.target} goes on trying."
            )
        return lines
    if end.outcome == "recovered":
        return [f"At risk now: nothing; {old} is the standby."]
    if end.outcome == "rehearsed":
        return []
    if end.outcome in ("begun", "lasts"):
        return [f"At risk now: applications have no writer until {end.target} is promoted, which is up to Aurora."]
    if end.outcome == "needs_person":
        return [
            f"At risk now: clients may not reach the writer in {end.target} by its name."
            if end.progress.commit is not None
            else "At risk now: applications may have no writer until this is finished, and no other run may move it."
        ]
    if health is not None and health.proceed and not end.is_switchover:
        return [f"At risk now: the writer in {old} was seen to be down, and it has not been moved."]
    return ["At risk now: nothing that this run has changed."]


def no_attempt(failover: str, record: ControlRecord | None, now: float) -> list[str]:
    """Says that no attempt comes by itself any more where a person wanted that, and how to have them come again."""
    if record is None:
        return [
            "The control record cannot be read: it is not known whether the next attempt comes by itself. To see it:",
            command(failover, "status"),
        ]
    off = automation_is_off(record, now)
    if off is None:
        return []
    return [f"No attempt comes by itself: {off}. To let attempts come again:", command(failover, "resume")]


def _after_recovery(end: FailoverEnd, workflows: Workflows) -> list[str]:
    if end.is_switchover:
        return [
            f"To move the writer back to {workflows.there}:",
            start_command(workflows.failover_there, {"mode": "switchover"}),
        ]
    return [
        f"To make {workflows.there} the standby, once it answers:",
        start_command(workflows.reprotect, {}),
    ]


def _again(end: FailoverEnd, workflows: Workflows) -> list[str]:
    """Returns the command for another try, once the cause is gone."""
    mode = "switchover" if end.is_switchover else "failover"
    lag = result_of(end.progress.assessment.lag)
    again: dict[str, object] = {"mode": mode}
    lines = ["To try again, once the cause is gone:", start_command(workflows.failover, again)]
    if mode == "failover" and lag is not None and not lag.proceed:
        lines += [
            "To move the writer and accept the loss:",
            start_command(workflows.failover, again | {"accept_data_loss": True}),
        ]
    return lines


def _for_real(end: FailoverEnd, workflows: Workflows) -> list[str]:
    return [
        f"To make {end.target} the writer without loss, while both regions live:",
        start_command(workflows.failover, {"mode": "switchover"}),
    ]


def _resume(end: FailoverEnd, workflows: Workflows) -> list[str]:
    if end.progress.commit is not None:
        return [
            "The writer has moved and the lock is given back; there is nothing to resume. Check where the writer name "
            f"leads, and write through it by hand: clients belong in {end.target}.",
            *([] if end.is_switchover else _after_recovery(end, workflows)),
        ]
    return resume(workflows.failover, end.run, end.claim.writer_region if end.is_switchover and end.claim else None)


def resume(failover: str, run: str, switchover_from: str | None) -> list[str]:
    """Returns the commands that continue a run which stopped half way.

    ``switchover_from``: the old writer's region, where the run is a switchover, which never succeeds once that is dark.
    """
    request = {"mode": "switchover" if switchover_from else "failover", "resumes": run}
    lines = ["Find out what failed, then continue with:", start_command(failover, request)]
    if switchover_from:
        lines += [
            f"If {switchover_from} does not answer any more, finish it as a failover instead:",
            start_command(failover, request | {"mode": "failover"}),
        ]
    return lines


def _nothing_to_do(end: FailoverEnd, workflows: Workflows) -> list[str]:
    """Returns what there is to do while the run is at work."""
    return [f"There is nothing to do in {workflows.here} while run {end.run} is at work."]


NEXT: dict[Outcome, Callable[[FailoverEnd, Workflows], list[str]]] = {
    "begun": _nothing_to_do,
    "lasts": _nothing_to_do,
    "recovered": _after_recovery,
    "rehearsed": _for_real,
    "refused": _again,
    "aborted": _again,
    "needs_person": _resume,
}
