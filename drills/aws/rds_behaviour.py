"""How RDS behaves where AWS does not document it: every way that has been reported, to be chosen at any moment.

Sources: the member of a global database stays listed for a while after its detach, and its cluster is ``available``
for some seconds before it is ``promoting`` (ansible-collections/amazon.aws#1705, ekristen/aws-nuke#1018,
hashicorp/terraform-provider-aws#40333); a cluster that is modified, backed up or promoted refuses with
``InvalidDBClusterStateFault``, and a switchover may be ``pending`` or be cancelled (RDS API reference,
``RemoveFromGlobalCluster``, ``FailoverState``). That an answer is late, or never comes, is what any service may do.

Limits: times are stated, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Behaviour:
    """What requests that move the writer meet (detach and switchover), and what RDS shows of them meanwhile.

    Moments in virtual seconds since 1970, durations in virtual seconds. As made, RDS does what it is asked at once.

    Attributes
    ----------
    busy_until
        until then requests are refused with ``InvalidDBClusterStateFault``.
    answers_after_s
        how long the answer to a request takes; what it asked for begins at once.
    unanswered
        so many of the next requests get no answer; what they ask for begins.
    lost
        so many of the next requests, after those, get no answer and have no effect.
    lists_until_promoted
        whether a detached cluster stays a member until it is promoted.
    available_for_s
        how long a detached cluster is ``available`` before it is ``promoting``.
    pending_for_s
        how long a switchover is ``pending`` before it begins.
    cancels
        so many of the next switchovers are cancelled after they were pending.
    down_until
        by region: until then its RDS answers every request with 503.
    """

    busy_until: float = 0.0
    answers_after_s: float = 0.0
    unanswered: int = 0
    lost: int = 0
    lists_until_promoted: bool = False
    available_for_s: float = 0.0
    pending_for_s: float = 0.0
    cancels: int = 0
    down_until: dict[str, float] = field(default_factory=dict)
