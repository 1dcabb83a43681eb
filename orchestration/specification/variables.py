"""What functions can be told: every variable by its name, and its value in a region. The rows say who is told what."""

from __future__ import annotations

import json

from orchestration.settings import Hook, Settings
from orchestration.specification import failover
from orchestration.specification.names import METRIC_NAMESPACE, MONITORING_USER
from orchestration.specification.rows import Place

# Powertools reads these itself, in every function.
FOR_POWERTOOLS = ("POWERTOOLS_LOG_LEVEL", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_SERVICE_NAME")


def values(settings: Settings, place: Place) -> dict[str, str]:
    """Returns every variable with its value in one region; a function declares those it reads beside its handler.

    ``…_DNS_NAME`` is a name of the private zone, ``CLUSTER`` and its like are RDS identifiers; times are in the unit at
    the end of the name. ``PEER_`` is the other region's; ``SECONDARY_`` is that of the writer's second DNS record.
    """
    names, region, peer = place.names, place.region, place.peer
    return {
        "PEER_REGION": peer,
        "SECONDARY_REGION": settings.standby_region,
        "GLOBAL_CLUSTER": names.global_cluster,
        "CLUSTER": names.cluster(region),
        "CLUSTER_ARN": names.cluster_arn(region),
        "PEER_CLUSTER": names.cluster(peer),
        "PEER_CLUSTER_ARN": names.cluster_arn(peer),
        "WRITER_DNS_NAME": names.writer,
        "CLUSTER_DNS_NAME": names.cluster_dns(region),
        "READER_DNS_NAME": names.reader_dns(region),
        "PEER_CLUSTER_DNS_NAME": names.cluster_dns(peer),
        "DATABASE_NAME": settings.database.name,
        "DATABASE_PORT": str(settings.database.port),
        "DATABASE_USER": MONITORING_USER,
        "MASTER_SECRET": names.master_secret,
        "CONTROL_TABLE": names.control_table,
        "IDEMPOTENCY_TABLE": names.idempotency_table(region),
        "RUNS_TABLE": names.runs_table(region),
        "SALVAGE_BUCKET": names.salvage_bucket(region),
        "REPORTS_BUCKET": names.reports_bucket(region),
        "SALVAGE_REPLAY": json.dumps(settings.salvage.replay),
        "TOPIC_ARN": names.topic_arn(region),
        "PEER_TOPIC_ARN": names.topic_arn(peer),
        "PROBER_FUNCTION": names.function("prober", region),
        "PEER_PROBER_FUNCTION": names.function("prober", peer),
        "FENCE_FUNCTION": names.function("fence", region),
        "PEER_FENCE_FUNCTION": names.function("fence", peer),
        "PEER_SALVAGE_FUNCTION": names.function("salvage", peer),
        "WARM_UP_FUNCTIONS": ",".join(names.function(step.name, region) for step in failover.STEPS),
        "PEER_ROLE_ARN": names.role_arn(names.role_for_peer(peer)),
        "REPROTECTION_ROLE_ARN": names.role_arn(names.role_for_reprotection(peer)),
        "REBUILD_ROLE_ARN": names.role_arn(names.role_for_rebuild(peer)),
        "STATE_MACHINE_ARN": names.state_machine_arn(region),
        "PEER_STATE_MACHINE_ARN": names.state_machine_arn(peer),
        "REPROTECTION_STATE_MACHINE_ARN": names.reprotection_arn(region),
        "BACKUP_VAULT": names.backup_vault(region),
        "ZONE": names.zone,
        "INSTANCES": ",".join(names.instances(region)),
        "LEAST_ACU_TENTHS": str(round(settings.database.min_capacity * 10)),
        "APPLICATION_ALARMS": ",".join(settings.application_alarms),
        "HOOKS": json.dumps([_hook(place, hook) for hook in settings.hooks]),
        "RPO_BUDGET_MS": str(settings.thresholds.rpo_budget_ms),
        "RECOVERY_GRACE_S": str(settings.thresholds.recovery_grace_s),
        "TRIGGER_MODE": settings.trigger_mode,
        "COOL_DOWN_S": str(settings.thresholds.cool_down_minutes * 60),
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "POWERTOOLS_SERVICE_NAME": "failover",
        "POWERTOOLS_METRICS_NAMESPACE": METRIC_NAMESPACE,
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


def _hook(place: Place, hook: Hook) -> dict[str, object]:
    """Returns a hook as `handlers.core.hooks.Hook` has it."""
    kind, name = hook.starts
    return {
        "name": hook.name,
        "when": hook.when,
        "kind": kind,
        "target": place.names.machine_arn(name, place.region) if kind == "state_machine" else name,
        "timeout_s": hook.timeout_seconds,
        "required": hook.required,
        "role_arn": place.names.role_arn(hook.document_role) if hook.document_role else "",
        "parameters": hook.parameters,
    }
