"""A region's fence function as its callers see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from handlers.core.environment import Variables
from handlers.core.errors import FailoverError
from handlers.core.fence import FenceState, Lift
from handlers.core.heartbeat import END_OF_TIME_S
from handlers.core.reading import Fields
from handlers.gateways.acting import READ_TIMEOUT_S, OtherRegion
from handlers.gateways.aws import client, invoke

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient

Order = Literal["fence", "lift", "look", "open"]
ORDERS: tuple[Order, ...] = ("fence", "lift", "look", "open")

# Its own cold start, then the longest fence by SQL (see handlers/gateways/postgres.py) with the prober's.
INVOCATION_TIMEOUT_S = 6.0


class FenceUnclear(FailoverError):
    """The fence function gave an answer that cannot be read."""


class FenceVariables(Variables):
    """This region's fence function."""

    fence_function: str


class PeerFenceVariables(Variables):
    """The other region's fence function."""

    peer_fence_function: str


class FenceFunction:
    """The function ``function``, through ``client``."""

    def __init__(self, client: LambdaClient, function: str) -> None:
        self._client = client
        self._function = function

    @classmethod
    def of(cls, environment: FenceVariables) -> FenceFunction:
        """Returns this region's own. One attempt: the guardian's next tick is the retry."""
        lambda_client = client("lambda", environment.aws_region, read_timeout_s=INVOCATION_TIMEOUT_S, attempts=1)
        return cls(lambda_client, environment.fence_function)

    @classmethod
    def there(
        cls,
        other_region: OtherRegion,
        environment: PeerFenceVariables,
        run: str,
        *,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> FenceFunction:
        """Returns the other region's function, in the role for it."""
        lambda_client = other_region.client("lambda", run, read_timeout_s=read_timeout_s)
        return cls(lambda_client, environment.peer_fence_function)

    def fence(
        self, reason: str, *, group: bool = True, lease: float | None = None, lifted_at: float | None = None
    ) -> FenceState:
        """Keeps applications out, by restarting the instances where SQL cannot. Raises as `look` does.

        ``group`` False leaves the security group and the instances alone. ``lease``: whose end is the reason, if it is.
        ``lifted_at``: when the fence was last lifted, if that is known; a restart before that counts for nothing.
        """
        known = {name: value for name, value in (("lease", lease), ("lifted_at", lifted_at)) if value is not None}
        return self._order({"order": "fence", "reason": reason, "group": group, **known})

    def lift(self, reason: str, lift: Lift) -> FenceState:
        """Lets applications in again, if the lift still counts. Raises as `look` does."""
        return self._order({"order": "lift", "reason": reason, "number": lift.number, "until": lift.until})

    def open_secondary(self, reason: str) -> FenceState:
        """Opens the security group of a cluster that is a secondary, and so takes no writes. Raises as `look` does."""
        return self._order({"order": "open", "reason": reason})

    def look(self) -> FenceState:
        """Looks, and changes nothing.

        Raises
        ------
        TransientFailure
            Lambda did not answer, or the function crashed or ran out of time.
        FenceUnclear
            the answer cannot be read.
        """
        return self._order({"order": "look", "reason": "a guardian begins"})

    def _order(self, event: dict[str, Any]) -> FenceState:
        fields = Fields(invoke(self._client, self._function, event), "the fence function's answer", FenceUnclear)
        return FenceState(
            by_sql=fields.optional_flag("by_sql"),
            by_group=fields.optional_flag("by_group"),
            secondary=fields.optional_flag("secondary"),
            error=fields.optional_text("error", pattern="(?s).{1,2000}"),
            restarted=fields.optional_flag("restarted"),
            restarted_at=fields.optional_number("restarted_at", at_least=0, at_most=END_OF_TIME_S),
        )
