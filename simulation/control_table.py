"""The control record in DynamoDB: a global table with multi-region strong consistency.

Three places hold the item, one of them a witness without an endpoint (`WITNESS`). A request is served by the replica of
the region that is asked, and only together with one of the two others (DynamoDB developer guide, "Multi-Region strong
consistency"): a replica that sees neither serves nothing. The item is one for all; two writes that meet are an error
for one of them. A row of `handlers.core.transitions` is evaluated by `handlers.core.conditional_write`.

Limits: how a replica without a quorum answers is not documented; here it does not. Which of two writes that meet loses
is left to chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlers.core.conditional_write import Row, after, allowed
from simulation.happened import Refused, Written
from simulation.network import Reply
from simulation.stand_ins import Client, refusal

if TYPE_CHECKING:
    from simulation.world import World

WITNESS = "us-east-2"
READ_S, WRITE_S = 0.01, 0.05  # beside the round trips of the network
NEVER_S = 1e9


class ControlTable:
    """The one item."""

    def __init__(self, world: World, item: dict[str, Any]) -> None:
        self._world = world
        self.item = item

    def serve(self, here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        """Answers a request to DynamoDB; tables besides the control table take what they are given."""
        del here
        world = self._world
        if request["TableName"] != world.product.specification.control_table.name:
            return Reply({}, READ_S)
        region = client.region
        if not self.has_quorum(region):
            return Reply(None, NEVER_S)
        away = world.faults.acting("table away", region)
        if away is not None or (operation == "update_item" and world.faults.acting("table writes away", region)):
            if away is not None and away.how.get("hangs"):
                return Reply(None, NEVER_S)
            raise refusal("InternalServerError", operation, status=500)
        if operation == "get_item":
            answer = {"Item": self.item, "ResponseMetadata": {"HTTPHeaders": {"date": Date(world.time.now // 1)}}}
            return Reply(answer, READ_S * world.chance.uniform(0.7, 3))
        return self._update(client, request["Row"], request["Values"])

    def change_by_hand(self, attributes: dict[str, Any]) -> None:
        """Writes attributes, as a person does with ``update-item``."""
        world, before = self._world, self.item
        self.item = before | attributes
        world.tell(Written(world.at, "by hand", "a person", before, self.item, answered=True))
        world.record_changed(before, self.item)

    def has_quorum(self, region: str) -> bool:
        """Returns whether the replica of that region sees another one, or the witness."""
        known = self._world.faults.follows
        has: bool | None = known.get(("quorum", region))
        if has is None:
            others = [place for place in (*self._world.regions, WITNESS) if place != region]
            has = any(self._world.network.reaches(region, other) == "open" for other in others)
            known["quorum", region] = has
        return has

    def takes_writes_from(self, region: str) -> bool:
        """Returns whether a guardian in that region can change the item, through one replica or the other."""
        faults, network = self._world.faults, self._world.network
        return any(
            network.reaches(region, replica) == "open"
            and self.has_quorum(replica)
            and not any(faults.acting(kind, replica) for kind in ("table away", "table writes away"))
            for replica in self._world.regions
        )

    def _update(self, client: Client, row: Row, values: dict[str, Any]) -> Reply:
        world = self._world
        if world.faults.acting("table conflicts", client.region) and world.chance.random() < 0.5:
            raise refusal("ReplicatedWriteConflictException", "update_item")
        lost = world.faults.acting("table answers lost", client.region) is not None
        takes = NEVER_S if lost and world.chance.random() < 0.7 else WRITE_S * world.chance.uniform(0.7, 3)
        answered = takes < client.read_s
        if not allowed(row, self.item, values):
            world.tell(Refused(world.at, row.name, world.caller, answered))
            if answered:
                raise refusal("ConditionalCheckFailedException", "update_item")
            return Reply(None, takes)
        before, self.item = self.item, after(row, self.item, values)
        world.tell(Written(world.at, row.name, world.caller, before, self.item, answered))
        world.record_changed(before, self.item)
        return Reply({"Attributes": self.item}, takes)


class Date(float):
    """The header ``date``, in whole seconds since 1970, and a reader in place of `parsedate_to_datetime`."""

    @classmethod
    def read(cls, date: Date) -> Date:
        """Returns the date itself, instead of writing it out and reading it again."""
        return date

    def timestamp(self) -> float:
        """As a datetime's."""
        return self
