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


class DetachRejected(FailoverError):
    """RDS refused to detach the cluster; nothing was changed."""


class DetachUncertain(FailoverError):
    """RDS refuses to detach, but an earlier request of this run got no answer: it may be under way."""


class AlreadyDetached(FailoverError):
    """The lock cannot be given back: the cluster has left the global database, and the only way is forward."""


class PromotionPending(FailoverError):
    """The detached cluster does not take writes yet; ask again."""


class PromotionFailed(FailoverError):
    """The detached cluster is in a state from which it does not become a writer by itself."""


class NotRecoveredYet(FailoverError):
    """A write through the public name has not reached the new writer yet; try again."""


class NotificationFailed(FailoverError):
    """No topic of any region took the message."""
