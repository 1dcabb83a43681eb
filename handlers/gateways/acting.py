"""Acting on the other region: through a role of its own for that region, which may do a few things there only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from handlers.core.environment import Environment
from handlers.gateways.aws import CONNECT_TIMEOUT_S, client, named_errors
from handlers.gateways.fence import FenceFunction

if TYPE_CHECKING:
    from types_boto3_sts import STSClient

# Together with the connection this is how long a region that hangs can keep a caller waiting: once, without a retry.
READ_TIMEOUT_S = 2.0
SESSION_S = 900  # the shortest that STS offers


class OtherRegion:
    """The peer of this region, as the role for it may act there."""

    def __init__(self, sts: STSClient, environment: Environment) -> None:
        self._sts = sts
        self._environment = environment

    @classmethod
    def of(cls, environment: Environment) -> OtherRegion:
        """Assumes the role through this region's STS endpoint: the global one is in us-east-1, which may be gone.

        The specification sets ``AWS_STS_REGIONAL_ENDPOINTS`` for SDKs whose default is the global one.
        """
        return cls(client("sts", environment.aws_region, attempts=1), environment)

    def client(self, service: Any, run: str) -> Any:
        """A client of a service there, for the session of ``run``."""
        with named_errors(f"assuming {self._environment.peer_role_arn}"):
            session = self._sts.assume_role(
                RoleArn=self._environment.peer_role_arn, RoleSessionName=_session_name(run), DurationSeconds=SESSION_S
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
                read_timeout=READ_TIMEOUT_S,
                retries={"mode": "standard", "total_max_attempts": 1},
            ),
        )

    def fence_function(self, run: str) -> FenceFunction:
        """The fence function there."""
        return FenceFunction(self.client("lambda", run), self._environment.peer_fence_function)


def _session_name(run: str) -> str:
    """STS takes 2 to 64 letters, digits and ``=,.@-_`` (STS API reference, AssumeRole)."""
    return "".join(letter if letter.isalnum() or letter in "=,.@-_" else "-" for letter in f"run-{run}")[:64]
