"""The question to people whether a failover may lose more than the RPO budget allows. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from handlers.core.control import Claim
from handlers.core.outcome import Message

# How long the run waits for an answer: long enough for somebody who is woken, short enough that the claim is not stale.
# It is also the TimeoutSeconds of the state AskApproval; a test compares the two.
APPROVAL_S = 900


def request(claim: Claim, *, reason: str, token: str, region: str, deadline: float) -> Message:
    """The message: what would be lost, until when an answer counts (``deadline``, s since 1970), and the commands."""
    until = datetime.fromtimestamp(deadline, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    answer = json.dumps({"approved_by": "<your name>"})
    options = f"--region {region} --task-token {token}"
    lines = [
        "FAILOVER WAITS FOR APPROVAL: writes may be lost",
        "",
        f"Run {claim.run} would make {claim.target_region} the writer; {claim.writer_region} is down.",
        f"It does not go on by itself: {reason}.",
        f"Nothing has been changed yet, and nothing will be when no answer comes until {until}.",
        "",
        "To approve the failover and the loss:",
        f"aws stepfunctions send-task-success {options} --task-output '{answer}'",
        "",
        "To refuse:",
        f"aws stepfunctions send-task-failure {options} --error Refused --cause '<your name>: <why>'",
    ]
    return Message(lines[0], "\n".join(lines))
