"""What differs only because the emulator is not AWS. Reviewed: to add one, say what the emulator does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestration.terraform import Change

# Resources that the emulator has no API for or forgets half of: type → the attribute that it forgets, or None for all
# of the type. They are validated and planned with the others, by `make test`.
UNKNOWN = {
    "aws_backup_report_plan": None,
    "aws_cloudwatch_query_definition": None,
    "aws_vpc_security_group_egress_rule": "prefix_list_id",
}

# Arguments of data sources that the emulator cannot meet: it has three zones a region, and one of us-east-1's is
# excluded because Lambda is not in it.
UNKNOWN_DATA = {"aws_availability_zones": "exclude_zone_ids"}

UPDATED = ("update",)
REPLACED = ("delete", "create")


# What follows was seen with this version of the provider; another one may not see all of it.
REVIEWED_WITH = "5.100.0"


@dataclass(frozen=True)
class Difference:
    """What a second plan may do to resources of a type: how, which attributes it names, and why that is harmless."""

    actions: tuple[str, ...]
    attributes: frozenset[str]
    why: str


# By resource type. No database and no table that holds data may be made, replaced or removed.
DIFFERENCES = {
    "aws_cloudwatch_metric_alarm": Difference(
        UPDATED,
        frozenset(
            {
                "actions_enabled",
                "alarm_actions",
                "alarm_description",
                "dimensions",
                "ok_actions",
                "period",
                "statistic",
                "treat_missing_data",
            }
        ),
        "the emulator tells only the name, the metric and the threshold of an alarm",
    ),
    "aws_dynamodb_table": Difference(
        UPDATED,
        frozenset({"replica", "stream_arn", "stream_enabled"}),
        "the emulator gives a replica the key of the other region, and turns the streams of every global table on; "
        "that the control table's is strongly consistent and has none, this version of the provider cannot say",
    ),
    "aws_flow_log": Difference(
        REPLACED,
        frozenset(
            {
                "arn",
                "deliver_cross_account_role",
                "iam_role_arn",
                "id",
                "log_format",
                "log_group_name",
                "max_aggregation_interval",
                "tags",
                "tags_all",
            }
        ),
        "the emulator forgets a flow log's role, interval and tags",
    ),
    "aws_rds_cluster": Difference(
        UPDATED, frozenset({"enabled_cloudwatch_logs_exports"}), "the emulator forgets which logs are exported"
    ),
    "aws_route53_health_check": Difference(
        UPDATED, frozenset({"child_healthchecks"}), "the emulator forgets the parts of a calculated check"
    ),
    "aws_vpc_endpoint": Difference(UPDATED, frozenset({"policy"}), "the emulator forgets an endpoint's policy"),
}


def unreviewed(changes: Iterable[Change]) -> list[str]:
    """The changes that are not on the list, each in one line."""
    found = []
    for change in changes:
        known = DIFFERENCES.get(change.kind)
        if known is None or change.actions != known.actions or not change.changed <= known.attributes:
            found.append(f"  {'/'.join(change.actions)} {change.address}: {', '.join(sorted(change.changed))}")
    return found


def unneeded(changes: Iterable[Change]) -> list[str]:
    """What is on the list and in none of these changes, which are those of every stack: each in one line."""
    seen: dict[str, set[str]] = {}
    for change in changes:
        seen.setdefault(change.kind, set()).update(change.changed)
    found = []
    for kind, known in DIFFERENCES.items():
        if kind not in seen:
            found.append(f"  {kind}")
        elif known.attributes - seen[kind]:
            found.append(f"  {kind}: {', '.join(sorted(known.attributes - seen[kind]))}")
    return found
