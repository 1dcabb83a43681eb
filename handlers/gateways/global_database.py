"""This region's view of the Aurora global database: membership, status and the detach.

Everything is asked of this region's own RDS endpoint, which goes on answering when the other region is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from handlers.core.environment import Environment
from handlers.core.errors import DetachRejected
from handlers.gateways.aws import client, code_of, named_errors

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

# What RDS answers when it will not detach, whoever asks again (RDS API reference, RemoveFromGlobalCluster).
REJECTIONS = frozenset(
    {
        "InvalidGlobalClusterStateFault",
        "InvalidDBClusterStateFault",
        "GlobalClusterNotFoundFault",
        "DBClusterNotFoundFault",
    }
)


class GlobalDatabase:
    """The global database ``identifier`` and this region's cluster in it."""

    def __init__(self, client: RDSClient, identifier: str, cluster: str, cluster_arn: str) -> None:
        self._client = client
        self._identifier = identifier
        self._cluster = cluster
        self._arn = cluster_arn

    @classmethod
    def of(cls, environment: Environment) -> GlobalDatabase:
        """The database as a function's environment names it, through this region's endpoint.

        One attempt: a detach whose answer was lost must be seen as that, and the workflow asks again by itself.
        """
        return cls(
            client("rds", environment.aws_region, attempts=1),
            environment.global_cluster,
            environment.cluster,
            environment.cluster_arn,
        )

    def is_detached(self) -> bool:
        """Whether this region's cluster is no member of the global database any more."""
        with named_errors(f"reading the members of {self._identifier}"):
            try:
                answer = self._client.describe_global_clusters(GlobalClusterIdentifier=self._identifier)
            except ClientError as error:
                if code_of(error) == "GlobalClusterNotFoundFault":
                    return True
                raise
        members = answer["GlobalClusters"][0].get("GlobalClusterMembers", [])
        return self._arn not in {member.get("DBClusterArn") for member in members}

    def detach(self) -> None:
        """Asks RDS to take this region's cluster out of the global database, which promotes it.

        Raises
        ------
        DetachRejected
            RDS refused; nothing has changed.
        TransientFailure
            the request may or may not have arrived; `is_detached` tells.
        """
        with named_errors(f"detaching {self._cluster} from {self._identifier}"):
            try:
                self._client.remove_from_global_cluster(
                    GlobalClusterIdentifier=self._identifier, DbClusterIdentifier=self._arn
                )
            except ClientError as error:
                if code_of(error) in REJECTIONS:
                    raise DetachRejected(
                        f"RDS refuses to detach {self._cluster} from {self._identifier}: {error}; look at "
                        "the cluster's status in the RDS console, then start the workflow again"
                    ) from error
                raise

    def status(self) -> str:
        """The status of this region's cluster in RDS's words, such as ``available``."""
        with named_errors(f"reading the status of {self._cluster}"):
            answer = self._client.describe_db_clusters(DBClusterIdentifier=self._cluster)
        return str(answer["DBClusters"][0].get("Status", "unknown"))
