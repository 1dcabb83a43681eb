"""A whole deployment inside the test's process: what the specification describes, on moto, with the real handlers.

Real here: the handlers, the specification, the state machines, and moto's AWS with the models of `drills/aws`.
Stand-ins: the prober function and the two databases behind it (`databases`), because they need servers and a network;
`tests/drills` runs the real prober against real servers.

Time is skipped, not waited for: the retries of the workflow and the pauses of the handlers move one common clock.
"""

from __future__ import annotations

from tests.deployment.clock import CLOCK
from tests.deployment.databases import OLDEST_XID, Databases
from tests.deployment.deployment import Deployment
from tests.deployment.executions import Run
from tests.deployment.functions import Context, Killed, variables
from tests.deployment.regions import ACCOUNT, STANDBY, WRITER

__all__ = [
    "ACCOUNT",
    "CLOCK",
    "OLDEST_XID",
    "STANDBY",
    "WRITER",
    "Context",
    "Databases",
    "Deployment",
    "Killed",
    "Run",
    "variables",
]
