"""Jobs of AWS Backup that did not succeed, and what people are told of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from handlers.core.errors import InvalidRequest
from handlers.core.message import Message, command
from handlers.core.reading import Fields

# AWS Backup guide, "Monitoring AWS Backup events using Amazon EventBridge". A restore is a person's, who waits for it.
KINDS: Mapping[str, Literal["backup", "copy"]] = {
    "Backup Job State Change": "backup",
    "Copy Job State Change": "copy",
}
FAILED = ("FAILED", "ABORTED", "EXPIRED", "PARTIAL")


@dataclass(frozen=True)
class BackupJob:
    """A job as AWS Backup's event has it; ``vault``, from which it is or was to be copied, may be missing."""

    what: Literal["backup", "copy"]
    state: str
    region: str
    vault: str | None
    resource: str
    reason: str

    @classmethod
    def read(cls, event: Any) -> Self:
        """Reads the event; of what it says about the job, only the state has to be there."""
        fields = Fields(event, "the event", InvalidRequest)
        what = KINDS[fields.text("detail-type", choices=tuple(KINDS))]
        job = fields.section("detail")
        vault = _words(job, "backupVaultName" if what == "backup" else "sourceBackupVaultArn")
        return cls(
            what,
            job.text("state", choices=FAILED),
            fields.line("region"),
            vault.rsplit(":", 1)[-1] if vault else None,
            _words(job, "resourceArn") or "not named",
            _words(job, "statusMessage") or "AWS Backup gives none",
        )

    def is_of(self, vault: str) -> bool:
        """Returns whether it is a job of that vault; one that names none may be."""
        return self.vault in (vault, None)


def message(job: BackupJob, arn: str) -> Message:
    """Says what failed and why; ``arn`` is a regional one of the deployment, which the command is for."""
    what = {"backup": "the daily backup", "copy": "the copy of a backup to the other region"}[job.what]
    return Message.of(
        [
            f"{job.what.upper()} {job.state}: {what} in {job.region} did not succeed",
            "",
            f"Resource: {job.resource}",
            f"Vault: {job.vault or 'not named'}",
            f"Reason: {job.reason}",
            "At risk now: if the cluster were deleted, the newest backup would be an older one. Recovery to a point in "
            "time, replication and failover are untouched. The next one is made within a day.",
            "How old the newest backup is:",
            command(arn, "ready"),
        ]
    )


def _words(job: Fields, field: str) -> str | None:
    """Returns AWS's own words, whatever they are: nothing that it says must keep people from hearing of the failure."""
    said = job.data.get(field)
    return said if isinstance(said, str) and said else None
