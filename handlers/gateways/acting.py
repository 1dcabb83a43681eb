"""Acting on the other region: through roles of their own for that region, each of which may do a few things there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from handlers.core.environment import Environment
from handlers.gateways.aws import CONNECT_TIMEOUT_S, client, named_errors
from handlers.gateways.fence import FenceFunction
from handlers.gateways.prober import INVOCATION_TIMEOUT_S, Prober

if TYPE_CHECKING:
    from types_boto3_sts import STSClient

# Together with the connection this is how long a region that hangs can keep a caller waiting: once, without a retry.
READ_TIMEOUT_S = 2.0
SESSION_S = 900  # the shortest that STS offers


class OtherRegion:
    """The peer of this region, as ``role_arn`` may act there."""

    def __init__(self, sts: STSClient, environment: Environment, role_arn: str) -> None:
        self._sts = sts
        self._environment = environment
        self._role_arn = role_arn

    @classmethod
    def of(cls, environment: Environment) -> OtherRegion:
        """As the failover may act there, and its guardian.

        The role is assumed through this region's STS endpoint: the global one is in us-east-1, which may be gone. The
        specification sets ``AWS_STS_REGIONAL_ENDPOINTS`` for SDKs whose default is the global one.
        """
        return cls(client("sts", environment.aws_region, attempts=1), environment, environment.peer_role_arn)

    @classmethod
    def for_reprotection(cls, environment: Environment) -> OtherRegion:
        """As the re-protection may look at the old cluster, fence it and keep it."""
        return cls(client("sts", environment.aws_region, attempts=1), environment, environment.reprotection_role_arn)

    @classmethod
    def for_rebuild(cls, environment: Environment) -> OtherRegion:
        """As the re-protection may remove the old cluster and make the new one."""
        return cls(client("sts", environment.aws_region, attempts=1), environment, environment.rebuild_role_arn)

    def client(self, service: Any, run: str, *, read_timeout_s: float = READ_TIMEOUT_S) -> Any:
        """A client of a service there, for the session of ``run``."""
        with named_errors(f"assuming {self._role_arn}"):
            session = self._sts.assume_role(
                RoleArn=self._role_arn, RoleSessionName=_session_name(run), DurationSeconds=SESSION_S
            )
        keys = session["Credentials"]
        return boto3.client(
            service,
            region_name=self._environment.peer_region,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=read_timeout_s,
                retries={"mode": "standard", "total_max_attempts": 1},
            ),
        )

    def fence_function(self, run: str, *, read_timeout_s: float = READ_TIMEOUT_S) -> FenceFunction:
        """The fence function there."""
        lambda_client = self.client("lambda", run, read_timeout_s=read_timeout_s)
        return FenceFunction(lambda_client, self._environment.peer_fence_function)

    def prober(self, run: str) -> Prober:
        """The prober there."""
        return Prober(
            self.client("lambda", run, read_timeout_s=INVOCATION_TIMEOUT_S), self._environment.peer_prober_function
        )


def _session_name(run: str) -> str:
    """STS takes 2 to 64 letters, digits and ``=,.@-_`` (STS API reference, AssumeRole)."""
    return "".join(letter if letter.isalnum() or letter in "=,.@-_" else "-" for letter in f"run-{run}")[:64]
