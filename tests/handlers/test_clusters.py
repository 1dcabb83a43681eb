"""What RDS's answers mean to whoever removes and makes clusters."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from handlers.core.errors import Misconfigured, TransientFailure
from handlers.gateways.clusters import Clusters


class Refusing:
    """A client whose every request to leave a global database is refused in the same way."""

    def __init__(self, code: str, message: str) -> None:
        self._error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}

    def remove_from_global_cluster(self, **_asked: Any) -> None:
        raise ClientError(self._error, "RemoveFromGlobalCluster")  # type: ignore[arg-type]


def leave(code: str, message: str) -> None:
    Clusters(Refusing(code, message), "us-east-1").leave_global("payments", "arn:old")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("DBClusterNotFoundFault", "gone"),
        ("GlobalClusterNotFoundFault", "gone"),
        ("InvalidParameterValue", "Cluster arn:old is not found in global cluster payments"),
    ],
)
def test_p9_a_cluster_that_is_no_member_has_left(code: str, message: str) -> None:
    leave(code, message)


def test_other_answers_are_no_success() -> None:
    with pytest.raises(Misconfigured):
        leave("InvalidParameterValue", "The parameter DbClusterIdentifier must be an ARN.")
    with pytest.raises(TransientFailure, match="RDS is still working on it"):
        leave("InvalidGlobalClusterStateFault", "busy")
