"""Questions to people: the message, with the commands that answer it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from handlers.core.claim import Claim
from handlers.core.message import Message, command
from handlers.core.reprotection import Order, Snapshot
from handlers.core.salvage import Salvage

# How long a failover waits for an answer: long enough for somebody who is woken, short enough that the claim is not
# stale. A retirement is decided by daylight. They are the TimeoutSeconds of AskApproval and AskRetirement as well; a
# test compares them.
APPROVAL_S = 900
RETIREMENT_APPROVAL_S = 3 * 24 * 3600


def request(claim: Claim, *, reason: str, topic: str, deadline: float) -> Message:
    """Asks whether writes may be lost.

    ``reason`` says what would be lost; ``deadline`` is until when an answer counts (seconds since 1970); ``topic`` is
    the ARN of a topic of the deployment, which the commands name by its suffix.
    """
    until = moment(deadline)
    # A run that took a switchover over finds the writer stopped: that RDS was not asked is true of every one.
    lines = [
        "FAILOVER WAITS FOR APPROVAL: writes may be lost",
        "",
        f"Run {claim.run} would make {claim.target_region} the writer; {claim.writer_region} is down.",
        f"The run is waiting for your answer: {reason}.",
        f"RDS has not been asked to move the writer. Without an answer by {until}, it will not be.",
        *answers("the failover and the loss", claim.run, topic),
    ]
    return Message.of(lines)


def retirement_request(order: Order, snapshot: Snapshot, salvage: Salvage, *, topic: str, deadline: float) -> Message:
    """Asks whether the old cluster may be retired; ``snapshot`` and ``salvage`` are what is kept of it.

    ``deadline`` and ``topic`` as in `request`.
    """
    lines = [
        f"RE-PROTECTION ASKS: may the old cluster in {order.old_region} be retired?",
        "",
        f"Run {order.run}, started by {order.started_by}, would remove it and rebuild it as the standby of "
        f"{order.writer_region} (epoch {order.epoch}).",
        f"Kept of it: the snapshot {snapshot.name}, and its unreplicated writes in {salvage.kept_at}",
        *salvage.words,
        f"Without an answer by {moment(deadline)}, it stays as it is, fenced.",
        *answers("its retirement", order.run, topic),
    ]
    return Message.of(lines)


def moment(at: float) -> str:
    """Returns a moment (seconds since 1970) as people read it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def answers(what: str, run: str, topic: str) -> list[str]:
    """Returns the commands by which a person approves ``what``, or refuses it.

    They name the run and not its task token, which stays in the run's own history: whoever reads a mail cannot answer
    by it.
    """
    return [
        "",
        f"To approve {what}:",
        command(topic, "approve", run),
        "",
        "To refuse:",
        command(topic, "reject", run, "--reason", "<why>"),
    ]
