"""AWS, as the specification describes it: made on moto, looked at and changed through clients of its own."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from moto.rds.models import rds_backends
from moto.sns.models import sns_backends

from drills.aws import replicated_table
from orchestration.specification import CONTROL_KEY, Specification
from orchestration.specification.model import Region
from tests.deployment.gate import Gate
from tests.deployment.regions import ACCOUNT, STANDBY, WRITER


@cache
def _client(service: str, region: str) -> Any:
    return boto3.client(service, region_name=region)  # type: ignore[call-overload]


def decimal(number: float) -> Decimal:
    return Decimal(repr(round(number, 3)))


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: TypeDeserializer().deserialize(value) for name, value in item.items()}


def waited_for(messages: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The messages that a run has waited for; those beside it may come late, even after the one about its end."""
    return [message for message in messages if " has begun: " not in message[0] and " goes on: " not in message[0]]


class Account:
    """The tables, topics, buckets, alarms and state machines of both regions, and their clusters in RDS."""

    def __init__(self, specification: Specification, gate: Gate) -> None:
        self.specification = specification
        self.gate = gate

    def client(self, service: str, region: str) -> Any:
        """A boto3 client of the test's own."""
        return _client(service, region)

    def create(self) -> None:
        """Make everything but the clusters; the control record is as a deployment leaves it."""
        table = self.specification.control_table
        replicated_table.create(self.client("dynamodb", WRITER), ACCOUNT, WRITER, table)
        self.client("dynamodb", WRITER).put_item(TableName=table.name, Item=self.specification.first_control_record)
        for region in self.specification.regions.values():
            self._create_region(region)

    def _create_region(self, region: Region) -> None:
        for table in (region.idempotency_table, region.runs_table):
            replicated_table.create(self.client("dynamodb", region.name), ACCOUNT, region.name, table)
        self.client("sns", region.name).create_topic(Name=region.topic)
        place = {} if region.name == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region.name}}
        self.client("s3", region.name).create_bucket(Bucket=region.salvage_bucket, **place)
        self.client("s3", region.name).create_bucket(
            Bucket=region.reports_bucket, ObjectLockEnabledForBucket=True, **place
        )
        for machine in (region.state_machine, region.reprotection):
            self.client("stepfunctions", region.name).create_state_machine(
                name=machine.name,
                definition=machine.definition,
                roleArn=f"arn:aws:iam::{ACCOUNT}:role/{machine.name}",
            )

    def remove_record(self) -> None:
        """There is no control record any more."""
        with self.gate.wide_open():
            self.client("dynamodb", WRITER).delete_item(
                TableName=self.specification.control_table.name, Key=self._key()
            )

    def change_record(self, **attributes: Any) -> None:
        """Change the control record as a person would."""
        with self.gate.wide_open():
            self.client("dynamodb", WRITER).update_item(
                TableName=self.specification.control_table.name,
                Key=self._key(),
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in attributes),
                ExpressionAttributeNames={f"#{name}": name for name in attributes},
                ExpressionAttributeValues={
                    f":{name}": TypeSerializer().serialize(value) for name, value in attributes.items()
                },
            )

    def forget(self, *attributes: str) -> None:
        """Take attributes out of the control record."""
        with self.gate.wide_open():
            self.client("dynamodb", WRITER).update_item(
                TableName=self.specification.control_table.name,
                Key=self._key(),
                UpdateExpression="REMOVE " + ", ".join(attributes),
            )

    def _key(self) -> dict[str, Any]:
        return {CONTROL_KEY: {"S": self.specification.global_identifier}}

    def set_cluster_status(self, status: str, region: str = STANDBY) -> None:
        """Have RDS report another status of a region's cluster."""
        rds_backends[ACCOUNT][region].clusters[self.specification.regions[region].cluster.identifier].status = status

    def record(self) -> dict[str, Any]:
        """The control record's item, as DynamoDB holds it."""
        with self.gate.wide_open():
            found = self.client("dynamodb", WRITER).get_item(
                TableName=self.specification.control_table.name, Key=self._key(), ConsistentRead=True
            )
        return _plain(found["Item"])

    def lock(self) -> dict[str, Any] | None:
        """The lock in the control record."""
        return self.record().get("transition")

    def members(self) -> set[str]:
        """The regions whose clusters are members of the global database."""
        with self.gate.wide_open():
            answer = self.client("rds", STANDBY).describe_global_clusters(
                GlobalClusterIdentifier=self.specification.global_identifier
            )
        arns = [member["DBClusterArn"] for member in answer["GlobalClusters"][0]["GlobalClusterMembers"]]
        return {arn.split(":")[3] for arn in arns}

    def primaries(self) -> set[str]:
        """The regions whose cluster is the primary of the global database."""
        with self.gate.wide_open():
            answer = self.client("rds", STANDBY).describe_global_clusters(
                GlobalClusterIdentifier=self.specification.global_identifier
            )
        members = answer["GlobalClusters"][0]["GlobalClusterMembers"]
        return {member["DBClusterArn"].split(":")[3] for member in members if member["IsWriter"]}

    def messages(self, region: str) -> list[tuple[str, str]]:
        """Subject and text of what was published to a region's topic."""
        topic = self.specification.regions[region].topic
        found = sns_backends[ACCOUNT][region].topics[f"arn:aws:sns:{region}:{ACCOUNT}:{topic}"]
        return [(str(subject), text) for _, text, subject, *_ in found.sent_notifications]

    def run_record(self, run: str, region: str = STANDBY) -> dict[str, Any] | None:
        """The record that is kept of a run."""
        with self.gate.wide_open():
            found = self.client("dynamodb", region).get_item(
                TableName=self.specification.regions[region].runs_table.name, Key={"run": {"S": run}}
            )
        return _plain(found["Item"]) if "Item" in found else None

    def tokens(self, region: str = STANDBY) -> list[dict[str, Any]]:
        """The idempotency tokens of a region."""
        with self.gate.wide_open():
            found = self.client("dynamodb", region).scan(
                TableName=self.specification.regions[region].idempotency_table.name
            )
        return [_plain(item) for item in found["Items"]]
