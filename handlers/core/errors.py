"""The named errors of the workflow. Step Functions sees the class name and retries or catches by it.

Each has one meaning; the message tells the reader what to do next.
"""

from __future__ import annotations


class FailoverError(Exception):
    """Base of every error that a step raises on purpose."""


class InvalidRequest(FailoverError):
    """The input is not a request that the workflow knows. Nothing was changed; never retried."""


class Misconfigured(FailoverError):
    """The deployment itself is wrong: a missing variable, permission or control record. A retry cannot cure it."""


class TransientFailure(FailoverError):
    """An AWS call failed in a way that a retry may cure: throttled, timed out, server error."""


class LockLost(FailoverError):
    """This run does not hold the lock on the control record (any more) and must not change anything."""


class LeaseLive(FailoverError):
    """The writer's lease may still be alive; ask again."""


class Held(FailoverError):
    """A person has asked the run to hold; ask again."""


class StandbySilent(FailoverError):
    """This region's own database, which would take over, has not answered; ask again."""


class WordLives(FailoverError):
    """The old writer's guardian may rest by its word, unfenced, for some seconds more; ask again."""


class FenceFailed(FailoverError):
    """The old writer could not be fenced, where nothing may go on without it."""


class AlreadyFollows(FailoverError):
    """The old cluster is a standby of the new writer already: there is nothing in it to keep, and nothing to retire."""


class HalfWay(FailoverError):
    """The cluster has left its old writer, or is leaving it: the lock and the writer switch stay as they are."""


class DetachRejected(FailoverError):
    """RDS refused to detach the cluster; nothing was changed."""


class RdsBusy(FailoverError):
    """RDS is at work on the cluster and takes no request; nothing was changed. The run looks again, then asks again."""


class Unanswered(FailoverError):
    """RDS gave no answer that says whether it took a request."""


class WriterLost(FailoverError):
    """The writer went down while RDS was to switch over: the lock stays, for a failover to take over."""


class SwitchoverRejected(FailoverError):
    """RDS refused to switch over, or nothing came of it; the writer is where it was."""


class PromotionFailed(FailoverError):
    """The detached cluster is in a state from which it does not become a writer by itself."""


class NotRecoveredYet(FailoverError):
    """A write through the public name has not reached the new writer yet; try again."""


class OldRegionSilent(FailoverError):
    """The old writer's region, or its cluster there, does not answer yet; ask again."""


class SnapshotPending(FailoverError):
    """The old cluster's snapshot is not complete yet; ask again."""


class SnapshotFailed(FailoverError):
    """RDS could not make the old cluster's snapshot."""


class RetirementForbidden(FailoverError):
    """The old cluster must not be retired; nothing of it was touched. The message says why."""


class RetirementPending(FailoverError):
    """The old cluster, or its global database, is being deleted; ask again."""


class RebuildPending(FailoverError):
    """What is made anew is not available yet; ask again."""


class ReplicationBehind(FailoverError):
    """The new standby does not replicate inside the lag budget yet; ask again."""


class NotificationFailed(FailoverError):
    """No topic of any region took the message."""
