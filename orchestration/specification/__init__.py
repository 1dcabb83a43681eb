"""One description of a deployment, from which both the CDKTF stacks and the lab are built, so neither can drift."""

from __future__ import annotations

import re
from pathlib import Path

from orchestration.settings import Settings
from orchestration.specification import dns, failover, functions, game_day, monitoring, reprotection, roles, workflows
from orchestration.specification.model import (
    Cluster,
    Permission,
    Region,
    Schedule,
    Specification,
    StateMachine,
    Table,
)
from orchestration.specification.names import INSTANCES, Names
from orchestration.specification.rows import Place, Step

__all__ = ["INSTANCES", "Names", "Specification", "describe"]

CONTROL_KEY = "database"  # hash key of the control table: one item per global database
IDEMPOTENCY_KEY = "id"  # Powertools' default names
IDEMPOTENCY_TTL = "expiration"
RUNS_KEY = "run"  # the execution's name
SESSION_KEY = "session_id"
SESSION_TTL = "expires_at"
# EventBridge's finest; the monitor's own loop does the rest. EventBridge Scheduler would be no better: it promises "60
# second precision" (its guide, "Schedule types"), and costs 1.00 a million.
MONITOR_SCHEDULE = "rate(1 minute)"
READINESS_SCHEDULE = "rate(30 minutes)"


def describe(settings: Settings, account: str) -> Specification:
    """Returns the whole deployment as data.

    Parameters
    ----------
    settings
        validated settings.
    account
        AWS account id (12 digits), or a Terraform token that becomes one.
    """
    names = Names(settings, account)
    writer, standby = settings.regions
    regions = {
        region: _region(settings, names, region, peer) for region, peer in ((writer, standby), (standby, writer))
    }
    return Specification(
        settings=settings,
        account=account,
        global_identifier=names.global_cluster,
        control_table=Table(
            name=names.control_table,
            hash_key=CONTROL_KEY,
            replica_regions=settings.regions,
            witness_region=settings.witness_region,
        ),
        session_table=Table(
            name=names.session_table,
            hash_key=SESSION_KEY,
            ttl_attribute=SESSION_TTL,
            replica_regions=settings.regions,
        ),
        first_control_record={
            CONTROL_KEY: {"S": names.global_cluster},
            "writer_region": {"S": writer},
            "epoch": {"N": "1"},
            "automatic_failover": {"BOOL": True},
        },
        zone=dns.zone(settings, names, regions),
        regions=regions,
    )


def _region(settings: Settings, names: Names, region: str, peer: str) -> Region:
    place = Place(names, region, peer)
    all_functions = functions.functions(settings, place)
    return Region(
        name=region,
        peer=peer,
        cluster=Cluster(
            region,
            names.cluster(region),
            names.global_cluster,
            names.instances(region),
        ),
        functions=all_functions,
        schedules=(
            Schedule(
                names.regional("failover-monitor-schedule", region),
                MONITOR_SCHEDULE,
                all_functions["monitor"],
            ),
            Schedule(
                names.regional("failover-readiness-schedule", region),
                READINESS_SCHEDULE,
                all_functions["readiness"],
            ),
        ),
        alarms=monitoring.alarms(settings, names, region, peer),
        upkeep_alarms=monitoring.upkeep_alarms(names, region, all_functions.values()),
        rules=monitoring.rules(settings, names, region),
        end_rule=monitoring.end_rule(names, region, all_functions["announce_end"]),
        report_rule=monitoring.report_rule(names, region, all_functions["keep_report"]),
        backup_rule=monitoring.backup_rule(names, region, all_functions["announce_backup"]),
        hook_rule=monitoring.hook_rule(settings, names, region, all_functions["run_hooks"]) if settings.hooks else None,
        application_rule=monitoring.application_rule(names, region, all_functions["watch_application"])
        if settings.application_alarms
        else None,
        capacity_rule=monitoring.capacity_rule(names, region, all_functions["follow_capacity"])
        if settings.database.capacity_follows
        else None,
        game_day=game_day.experiment(names, region) if settings.game_day.enabled else None,
        state_machine=_state_machine(place, names.state_machine(region), workflows.FAILOVER_ASL, failover.STEPS),
        reprotection=_state_machine(place, names.reprotection(region), workflows.REPROTECT_ASL, reprotection.STEPS),
        idempotency_table=Table(names.idempotency_table(region), IDEMPOTENCY_KEY, IDEMPOTENCY_TTL),
        topic=names.topic(region),
        runs_table=Table(names.runs_table(region), RUNS_KEY),
        salvage_bucket=names.salvage_bucket(region),
        reports_bucket=names.reports_bucket(region),
        role_for_peer=roles.role_for_peer(place),
        role_for_reprotection=roles.role_for_reprotection(place),
        role_for_rebuild=roles.role_for_rebuild(place),
    )


def _state_machine(place: Place, name: str, path: Path, steps: tuple[Step, ...]) -> StateMachine:
    """Returns the workflow of a file with ``${step}`` replaced by the name of that step's function in the region."""
    names, region = place.names, place.region
    invoked = tuple(names.function_arn(step.name, region) for step in steps)
    return StateMachine(
        name=name,
        definition=re.sub(r"\$\{(\w+)\}", lambda match: names.function(match[1], region), path.read_text()),
        permissions=(Permission(("lambda:InvokeFunction",), invoked, "runs the steps, and nothing else"),),
    )
