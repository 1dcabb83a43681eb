"""RepointDns: engages the writer switch. No record is edited: Route 53's control plane may be gone with its region.

Best effort: what it engages beside the promotion, the commit engages in any case. So it is left to the commit where the
new writer's endpoint has no address yet: a resolver that was asked for it keeps that it has none, by RDS's zone and not
by ours, and clients would wait for the end of that after the promotion. For the same reason nobody inside the VPC is
asked here.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.commands import Step
from handlers.core.errors import FailoverError
from handlers.core.results import Repointing
from handlers.gateways import names
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.global_database import GlobalDatabase, GlobalDatabaseVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, GlobalDatabaseVariables):
    """What this step reads."""

    writer_dns_name: str


# How long RDS and a resolver may take each, within the state's limit of 5 s: they are asked for an exception.
ANSWERS_WITHIN_S = 1.0

ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
DATABASE = GlobalDatabase.of(ENVIRONMENT, read_timeout_s=ANSWERS_WITHIN_S)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.commands.Step`."""
    step = Step.read(event)
    logger.append_keys(run=step.run)
    return asdict(repoint_dns(CONTROL, DATABASE, step, ENVIRONMENT.writer_dns_name))


def repoint_dns(control: ControlTable, database: GlobalDatabase, step: Step, writer_name: str) -> Repointing:
    """Lets the writer switch answer "engaged" for the claim's target region from now on, if clients can be sent there.

    Raises `LockLost` when the run does not hold the lock any more.
    """
    region, engaged = step.claim.target_region, has_address(database)
    if engaged:
        control.engage_dns(step.run)
        logger.info("engaged the writer switch", writer_name=writer_name, region=region)
    else:
        logger.warning("the cluster's endpoint has no address: the commit engages the writer switch", region=region)
    return Repointing(writer_name, region, engaged)


def has_address(database: GlobalDatabase) -> bool:
    """Returns whether the cluster's endpoint has an address; where nobody can tell, it has as a rule."""
    try:
        endpoint = database.endpoint()
    except FailoverError as error:
        logger.warning("RDS does not say whether the cluster has an endpoint", error=str(error))
        return True
    return endpoint is not None and names.has_address(endpoint, ANSWERS_WITHIN_S)
