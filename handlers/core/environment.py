"""What a function is told by its deployment, checked when the function starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from handlers.core.errors import Misconfigured

# The RDS certificate authorities that the zip carries (Amazon RDS global bundle).
RDS_CA_BUNDLE = Path(__file__).resolve().parent.parent / "rds-ca.pem"


@dataclass(frozen=True)
class Environment:
    """The environment variables of every function, each in upper case there. Times in ms where the name says so."""

    aws_region: str
    peer_region: str
    global_cluster: str
    cluster: str
    cluster_arn: str
    peer_cluster: str
    peer_cluster_arn: str
    writer_name: str
    cluster_name: str
    reader_name: str
    peer_cluster_name: str
    database_name: str
    database_port: int
    database_user: str
    control_table: str
    idempotency_table: str
    topic_arn: str
    peer_topic_arn: str
    prober_function: str
    state_machine_arn: str
    step_functions: str  # the functions of the workflow, with commas between them
    heartbeat_missing_alarm: str
    heartbeat_unhealthy_alarm: str
    fence_function: str
    peer_fence_function: str
    peer_role_arn: str
    reprotection_role_arn: str
    rebuild_role_arn: str
    reprotection_arn: str  # the state machine
    peer_state_machine_arn: str
    peer_prober_function: str
    peer_salvage_function: str
    salvage_bucket: str
    runs_table: str
    cool_down_s: int
    rpo_budget_ms: int
    powertools_metrics_namespace: str

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> Environment:
        """Reads the variables.

        Raises
        ------
        Misconfigured
            names every variable that is missing or not a whole number where it must be one.
        """
        values: dict[str, str | int] = {}
        faults = []
        for field in fields(cls):
            variable = field.name.upper()
            text = variables.get(variable, "")
            if not text:
                faults.append(f"{variable} is missing")
            elif field.type == "int" and not text.isdecimal():
                faults.append(f"{variable} is {text!r}, not a whole number")
            else:
                values[field.name] = int(text) if field.type == "int" else text
        if faults:
            raise Misconfigured(
                f"the function's environment: {'; '.join(faults)}; deploy it from the specification again"
            )
        return cls(**values)  # type: ignore[arg-type]  # the loop above gave each field the type it declares


@dataclass(frozen=True)
class SecurityGroups:
    """The security groups between which a fence chooses, by id: ``cluster`` admits clients, ``fence`` the prober only.

    Only the region's stack knows them, and only the fence function is told.
    """

    cluster: str
    fence: str

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> SecurityGroups:
        """Reads ``CLUSTER_SECURITY_GROUP`` and ``FENCE_SECURITY_GROUP``; `Misconfigured` names what is missing."""
        found = {name: variables.get(f"{name.upper()}_SECURITY_GROUP", "") for name in ("cluster", "fence")}
        missing = [f"{name.upper()}_SECURITY_GROUP" for name, group in found.items() if not group]
        if missing:
            raise Misconfigured(
                f"the function's environment: {', '.join(missing)} is missing; deploy this region's stack again"
            )
        return cls(**found)
