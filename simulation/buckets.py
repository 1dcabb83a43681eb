"""S3: one bucket a region, in which the re-protection keeps what it exports.

Limits: of versions only the last one is there; a write is there for every reader when it has been answered (Amazon S3
user guide, "Amazon S3 data consistency model").
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from simulation.happened import Kept
from simulation.network import Reply
from simulation.stand_ins import Client, refusal

if TYPE_CHECKING:
    from simulation.world import World

ANSWERS_S = (0.02, 0.2)


class Buckets:
    """Those of both regions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._files: dict[tuple[str, str], bytes] = {}

    def serve(self, here: str, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        """Answers a request."""
        del here
        world, where = self._world, (client.region, request["Key"])
        takes = world.chance.uniform(*ANSWERS_S)
        if operation == "put_object":
            self._files[where] = request["Body"]
            world.tell(Kept(world.at, client.region, request["Key"], request["Body"].decode()))
            return Reply({}, takes)
        assert operation == "get_object", operation
        if where not in self._files:
            raise refusal("NoSuchKey", operation, status=404)
        return Reply({"Body": BytesIO(self._files[where])}, takes)
