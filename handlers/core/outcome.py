"""How a run of the failover workflow ended, in words for people. Pure."""

from __future__ import annotations

from typing import Literal

from handlers.core.claim import Claim
from handlers.core.ending import End, done_and_open
from handlers.core.message import Message, start_command
from handlers.core.progress import FailoverProgress, result_of

Outcome = Literal["recovered", "rehearsed", "refused", "aborted", "needs_person"]

HEADLINES: dict[Outcome, str] = {
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
        # Giving the lock back may fail after anything else.
        caught = (self.progress.error, self.progress.release_error)
        return [error.sentence for error in caught if error is not None]


def message(end: FailoverEnd, state_machine_arn: str) -> Message:
    """Says how the run ended, why, what was done and what was not, and the command to continue."""
    what = "Switchover" if end.is_switchover else "Failover"
    headline = HEADLINES[end.outcome].format(target=end.target, what=what, WHAT=what.upper())
    lines = [headline, "", f"Run {end.run} of {state_machine_arn}", *_reasons(end)]
    if end.outcome == "needs_person":
        lines += ["", *_progress(end), "", *_go_on(end, state_machine_arn)]
    elif end.outcome == "recovered":
        commit = result_of(end.progress.commit)
        lines += [f"Writer region: {end.target}, epoch {commit.epoch if commit else 'unknown'}", *_measured(end)]
    elif end.outcome == "rehearsed":
        lines += ["", *_rehearsal(end)]
    return Message.of(lines)


def _reasons(end: FailoverEnd) -> list[str]:
    claim, progress = end.claim, end.progress
    lines = []
    if claim:
        lines += [f"Started by: {claim.started_by}", f"Incident: {claim.incident}", f"Claim: {claim.reason}"]
    verdicts = (
        ("Health", result_of(progress.assessment.health)),
        ("Replication lag", result_of(progress.assessment.lag)),
        ("Lease", result_of(progress.lease)),
        ("Lease", result_of(progress.approved_lease)),
    )
    lines += [
        f"{title}: {'go' if verdict.proceed else 'no go'}: {verdict.reason}" for title, verdict in verdicts if verdict
    ]
    if end.approved_by:
        lines.append(f"Loss approved by: {end.approved_by}")
    return [*lines, *(f"Error: {cause}" for cause in end.causes), *end.gaps]


def _measured(end: FailoverEnd) -> list[str]:
    record = result_of(end.progress.record)
    if record is None:
        return []
    known = {
        "Outage, from the writer's last heartbeat to the proved write: {:.1f} s": record.rto_s,
        "Lost, by heartbeats: {:.0f} ms of writes": record.rpo_ms,
        "Lost at most, if the old region lived on unseen: {:.0f} ms": record.rpo_at_most_ms,
    }
    return [text.format(value) for text, value in known.items() if value is not None]


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


def _go_on(end: FailoverEnd, state_machine_arn: str) -> list[str]:
    if end.progress.commit is not None:
        return [
            "The writer has moved and the lock is given back; there is nothing to resume. Check where the writer name "
            f"leads, and write through it by hand: clients belong in {end.target}."
        ]
    mode = "switchover" if end.is_switchover else "failover"
    request = {"mode": mode, "started_by": "<your name>", "resumes": end.run}
    lines = ["Find out what failed, then continue with:", start_command(state_machine_arn, request)]
    if end.is_switchover:  # which needs the old writer's region, and never succeeds once that is dark
        old = end.claim.writer_region if end.claim else "the old writer's region"
        lines += [
            f"If {old} does not answer any more, finish it as a failover instead:",
            start_command(state_machine_arn, request | {"mode": "failover"}),
        ]
    return lines
