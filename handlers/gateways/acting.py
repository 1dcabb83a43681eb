"""Acting on the other region: through roles of their own for that region, each of which may do a few things there."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from handlers.core.environment import PeerVariables, Variables
from handlers.gateways.aws import Service, client, named_errors

if TYPE_CHECKING:
    from types_boto3_sts import STSClient

# Together with the connection, this is how long a hanging region can keep a caller waiting: once, without a retry.
READ_TIMEOUT_S = 2.0
SESSION_S = 900  # the shortest that STS offers


class PeerRoleVariables(PeerVariables):
    """The role in which the failover and the guardian act there."""

    peer_role_arn: str


class ReprotectionRoleVariables(PeerVariables):
    """The role in which the re-protection looks at, fences and keeps the old cluster there."""

    reprotection_role_arn: str


class RebuildRoleVariables(PeerVariables):
    """The role in which the re-protection removes and creates clusters there."""

    rebuild_role_arn: str


class OtherRegion:
    """The other region, ``region``, as ``role_arn`` may act there."""

    def __init__(self, sts: STSClient, region: str, role_arn: str) -> None:
        self._sts = sts
        self._region = region
        self._role_arn = role_arn

    @classmethod
    def of(cls, environment: PeerRoleVariables) -> OtherRegion:
        """Returns it as the failover, and the guardian, may act there."""
        return cls(_sts(environment), environment.peer_region, environment.peer_role_arn)

    @classmethod
    def for_reprotection(cls, environment: ReprotectionRoleVariables) -> OtherRegion:
        """Returns it as the re-protection may look at the old cluster, fence it and keep it."""
        return cls(_sts(environment), environment.peer_region, environment.reprotection_role_arn)

    @classmethod
    def for_rebuild(cls, environment: RebuildRoleVariables) -> OtherRegion:
        """Returns it as the re-protection may remove the old cluster and create the new one."""
        return cls(_sts(environment), environment.peer_region, environment.rebuild_role_arn)

    def client(self, service: Service, run: str, *, read_timeout_s: float = READ_TIMEOUT_S) -> Any:
        """Returns a client of a service there, for the session of ``run``."""
        with named_errors(f"assuming {self._role_arn}"):
            session = self._sts.assume_role(
                RoleArn=self._role_arn, RoleSessionName=_session_name(run), DurationSeconds=SESSION_S
            )
        return client(
            service, self._region, read_timeout_s=read_timeout_s, attempts=1, credentials=session["Credentials"]
        )


def _sts(environment: Variables) -> STSClient:
    """Returns this region's STS endpoint: the global one is in us-east-1, which may be gone.

    The specification sets ``AWS_STS_REGIONAL_ENDPOINTS`` for SDKs whose default is the global one.
    """
    sts: STSClient = client("sts", environment.aws_region, attempts=1)
    return sts


def _session_name(run: str) -> str:
    """Returns a name that STS takes: 2 to 64 letters, digits and ``=,.@-_`` (STS API reference, AssumeRole)."""
    allowed = string.ascii_letters + string.digits + "=,.@-_"
    return "".join(letter if letter in allowed else "-" for letter in f"run-{run}")[:64]
