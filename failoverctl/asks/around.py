"""Asks Route 53 and AWS Backup what they see and do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from failoverctl.account import Account
from handlers.core.readiness import NotSeen, Said
from orchestration.settings import US_CONTROL_PLANE_REGION

# Jobs are made daily, and may take nine hours.
JOBS_OF = timedelta(days=2)
# What a switch answers that vouches for SECONDARY, and one that does not (`handlers.standing.writer_switch`).
ENGAGED, NOT_ENGAGED = "200", "503"
ANSWERED = re.compile(r"HTTP Status Code:? (\d{3})")


def health_checkers(account: Account, _: str) -> Said:
    """Asks what each of Route 53's checkers has seen of both switches: all of them see what the record says."""
    wanted = NOT_ENGAGED if account.writer == account.settings.writer_region else ENGAGED
    faults, seen = [], Counter[str]()
    for check in _switches(account):
        for observation in account.answer(
            "route53", US_CONTROL_PLANE_REGION, "get_health_check_status", HealthCheckId=check
        )["HealthCheckObservations"]:
            status = str(observation["StatusReport"]["Status"])
            seen[status] += 1
            if ANSWERED.findall(status) != [wanted]:
                faults.append(f"{observation['Region']}: {status}")
    if not seen:
        raise NotSeen("no checker has said anything yet")
    if faults:
        return "failing", f"{len(faults)} of {seen.total()} see something else: {faults[0]}"
    return "ok", f"{seen.total()} looks of checkers, all as the control record says ({seen.most_common(1)[0][0]})"


def _switches(account: Account) -> Sequence[str]:
    """Returns the checks that the check of the PRIMARY record counts."""
    zone, writer, home = account.names.zone, account.names.writer, US_CONTROL_PLANE_REGION
    zones = account.answer("route53", home, "list_hosted_zones_by_name", DNSName=zone)["HostedZones"]
    named = [each for each in zones if each["Name"].rstrip(".") == zone]
    if not named:
        raise NotSeen(f"there is no zone {zone}; the global stack makes it")
    # A public one may have the same name, for the world outside.
    ours = max(named, key=lambda each: bool(each.get("Config", {}).get("PrivateZone")))["Id"].rsplit("/", 1)[-1]
    records = account.pages("route53", home, "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=ours)
    for record in records:
        if record["Name"].rstrip(".") == writer and record.get("Failover") == "PRIMARY":
            check = account.answer("route53", home, "get_health_check", HealthCheckId=record["HealthCheckId"])
            return tuple(check["HealthCheck"]["HealthCheckConfig"].get("ChildHealthChecks", ()))
    raise NotSeen(f"{writer} has no record PRIMARY")


def backup_jobs(account: Account, region: str) -> Said:
    """Asks for the backups of the region's cluster of the last two days."""
    jobs = account.pages(
        "backup",
        region,
        "list_backup_jobs",
        "BackupJobs",
        ByResourceArn=account.names.cluster_arn(region),
        ByCreatedAfter=_since(account),
    )
    return _judged([(each["State"], each.get("StatusMessage")) for each in jobs])


def copy_jobs(account: Account, region: str) -> Said:
    """Asks for the copies of the first region's backups into the other one's vault."""
    jobs = account.pages(
        "backup",
        region,
        "list_copy_jobs",
        "CopyJobs",
        ByDestinationVaultArn=account.names.backup_vault_arn(account.peer(region)),
        ByCreatedAfter=_since(account),
    )
    return _judged([(each["State"], each.get("StatusMessage")) for each in jobs])


def report_jobs(account: Account, region: str) -> Said:
    """Asks for the reports on backups and copies, and whether they could be delivered."""
    # Eight reports at most in two days: one page has them all, and the SDK turns none here.
    jobs = account.answer("backup", region, "list_report_jobs", ByCreationAfter=_since(account))["ReportJobs"]
    plans = account.names.backup_vault(region).replace("-", "_")
    ours = [each for each in jobs if plans in str(each.get("ReportPlanArn", ""))]
    return _judged([(each["Status"], each.get("StatusMessage")) for each in ours])


def _since(account: Account) -> datetime:
    return datetime.fromtimestamp(account.reading.now, UTC) - JOBS_OF


def _judged(jobs: Sequence[tuple[str, Any]]) -> Said:
    if not jobs:
        raise NotSeen("there was none in the last two days; the first is made after 05:00 UTC")
    states = Counter(state for state, _ in jobs)
    words = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    bad = [why for state, why in jobs if state in ("FAILED", "ABORTED", "EXPIRED", "PARTIAL")]
    if bad:
        return "failing", f"{words}: {bad[0] or 'no reason given'}"
    if "COMPLETED" not in states:
        raise NotSeen(f"none has ended yet: {words}")
    return "ok", words
