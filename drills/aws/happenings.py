"""What happens in the lab's AWS plane, for the drill's timeline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What happened. In brackets: `Happening.subject`, and what `Happening.detail` holds."""

    ALARM_CHANGED = "alarm changed"  # alarm name; key, state, previous, reason
    RULE_DELIVERED = "rule delivered"  # rule name; execution, input
    EXECUTION_STARTED = "execution started"  # execution name; input, machine (its name)
    EXECUTION_ENDED = "execution ended"  # execution name; status, error, cause, output
    STATE_ENTERED = "state entered"  # state name; execution, input (JSON text)
    STATE_EXITED = "state exited"  # state name; execution, output (JSON text)
    TASK_FAILED = "task failed"  # error name; execution, cause
    FUNCTION_ANSWERED = "function answered"  # function name; step, result (what it returned)
    EVENT_PUT = "event put"  # source; event (what was put on the bus, whether or not it arrives)
    FUNCTION_FAILED = "function failed"  # function name; step, errorType, errorMessage
    MESSAGE_PUBLISHED = "message published"  # topic name; subject, message
    DETACHED = "detached"  # cluster identifier; nothing
    SWITCHOVER_STARTED = "switchover started"  # identifier of the cluster to be promoted; nothing
    FOLLOWS = "follows"  # identifier of the cluster that is a standby now; nothing
    INSTANCE_RESTARTED = "instance restarted"  # instance identifier
    SECURITY_GROUP_CHANGED = "security group changed"  # cluster identifier; admits (clients)
    PROMOTED = "promoted"  # cluster identifier; nothing
    DATABASE_FAILED = "database failed"  # cluster identifier; error: why RDS failed to finish its work
    SNAPSHOT_STARTED = "snapshot started"  # snapshot identifier; nothing
    CLUSTER_DELETED = "cluster deleted"  # cluster identifier; nothing
    GLOBAL_DATABASE_DELETED = "global database deleted"  # its identifier; nothing
    GLOBAL_DATABASE_MADE = "global database made"  # its identifier; nothing
    REBUILD_STARTED = "rebuild started"  # identifier of the new secondary cluster; nothing
    HEALTH_CHANGED = "health changed"  # health check key; healthy (as DNS sees it)
    RECORD_CHANGED = "record changed"  # name of the control table; item (typed JSON)
    ACCESS_DENIED = "access denied"  # function name or access key; action, resources


@dataclass(frozen=True)
class Happening:
    """One thing that happened in a region. ``at`` is real time, in seconds since 1970."""

    kind: Kind
    region: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict)
    at: float = field(default_factory=time.time)


# Called from many threads at once; it must be quick and must not raise.
Observe = Callable[[Happening], None]
