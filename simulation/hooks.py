"""What a deployment hangs on its events: a function and a state machine of somebody else, in each region.

They do their work, fail, or never end. Nothing of them is the product's; what starts them and waits for them is.

Limits: a function that hangs does so for whoever has asked; what it does meanwhile concerns nobody here. An SSM
document is waited for as a state machine is, so that there is none.
"""

from __future__ import annotations

import json
import random
from io import BytesIO
from typing import TYPE_CHECKING, Any

from simulation.happened import HookBegan
from simulation.network import Reply
from simulation.stand_ins import Client, refusal

if TYPE_CHECKING:
    from simulation.world import World

# As the settings have them; the function is required, so that its failure is the function's that runs it, too.
FUNCTION, MACHINE = "scale-out", "tickets"
HOOKS: list[dict[str, Any]] = [
    {"name": "scale", "when": "WriterMoved", "function": FUNCTION, "timeout_seconds": 30, "required": True},
    {"name": "ticket", "when": "FailoverStarted", "state_machine": MACHINE, "timeout_seconds": 20},
]
TAKES_S = (0.1, 8.0)
NEVER_S = 1e9


class Hooks:
    """Those of both regions. Their chance is their own, so that a history is the same with and without them."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(f"hooks {seed}")  # noqa: S311 - nothing secret
        self._ends: dict[str, tuple[float, str]] = {}  # of each execution, when and how

    def _begin(self, region: str, name: str) -> tuple[float, str]:
        """Returns how long it takes, and how it ends."""
        faults = self._world.faults
        how = "hangs" if faults.acting("hook hangs", region) else "fails" if faults.acting("hook fails", region) else ""
        self._world.tell(HookBegan(self._world.at, region, name, how or "works"))  # type: ignore[arg-type]
        return NEVER_S if how == "hangs" else self._chance.uniform(*TAKES_S), how

    def invoke(self, region: str) -> Reply:
        """Answers as Lambda does for the function."""
        takes, how = self._begin(region, "scale")
        if how == "fails":
            report = {"errorType": "OutOfStock", "errorMessage": "made by the simulator"}
            return Reply({"Payload": BytesIO(json.dumps(report).encode()), "FunctionError": "Unhandled"}, takes)
        return Reply({"Payload": BytesIO(b"null")}, takes)

    def serve(self, client: Client, operation: str, request: dict[str, Any]) -> Reply:
        """Answers as Step Functions does for the state machine."""
        if operation == "start_execution":
            if request["name"] in self._ends:
                raise refusal("ExecutionAlreadyExists", operation)
            takes, how = self._begin(client.region, "ticket")
            self._ends[request["name"]] = self._world.time.now + takes, "FAILED" if how else "SUCCEEDED"
            return Reply({}, 0.02)
        ends_at, status = self._ends[request["executionArn"].rsplit(":", 1)[-1]]
        return Reply({"status": status if self._world.time.now >= ends_at else "RUNNING"}, 0.02)
