"""AnnounceBackup: tells people of a backup or a copy that failed. Started by EventBridge, not by a workflow."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.backup import BackupJob, message
from handlers.gateways import notifications
from handlers.gateways.notifications import Notification
from handlers.telemetry import instrumented, logger


class Environment(notifications.TopicVariables):
    """What the function reads."""

    backup_vault: str


ENVIRONMENT = Environment.read()
TOPICS = notifications.topics(ENVIRONMENT)


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for EventBridge; see `handlers.core.backup.BackupJob`."""
    job = BackupJob.read(event)
    if not job.is_of(ENVIRONMENT.backup_vault):
        logger.info("the job is somebody else's", vault=job.vault)
        return asdict(Notification([], {}))
    sent = notifications.publish_to_all(TOPICS, message(job, ENVIRONMENT.topic_arn))
    logger.warning("announced a backup that failed", what=job.what, state=job.state, failed=sent.failed)
    return asdict(sent)
