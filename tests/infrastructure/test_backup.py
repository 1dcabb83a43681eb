"""AWS Backup: daily, in both regions, kept for seven days, and reported."""

from __future__ import annotations

import json
from typing import Any

from orchestration.specification import describe
from tests.infrastructure.synthesized import ACCOUNT, Deployment, Stack


def test_both_regions_keep_backups_for_seven_days_and_one_copies_them_to_the_other(development: Deployment) -> None:
    for stack in development.both:
        (rule,) = stack.only("aws_backup_plan")["rule"]
        assert rule["lifecycle"] == {"delete_after": 7}
        assert rule["schedule"].startswith("cron(")
        # Every copy is a full one, and both clusters hold the same.
        assert ("copy_action" in rule) is (stack is development.writer)
    (rule,) = development.writer.only("aws_backup_plan")["rule"]
    (copy,) = rule["copy_action"]
    assert copy["lifecycle"] == {"delete_after": 7}
    other = development.standby
    vault = other.only("aws_backup_vault")["name"]
    assert copy["destination_vault_arn"] == f"arn:aws:backup:{other.name}:{ACCOUNT}:backup-vault:{vault}"


def test_each_region_backs_up_its_own_cluster_into_an_encrypted_vault(development: Deployment) -> None:
    for stack in development.both:
        cluster = stack.only("aws_rds_cluster")["cluster_identifier"]
        (selected,) = stack.only("aws_backup_selection")["resources"]
        assert selected == f"arn:aws:rds:{stack.name}:{ACCOUNT}:cluster:{cluster}"
        assert stack.only("aws_backup_vault")["kms_key_arn"].startswith("${aws_kms_key.")


def test_backups_run_as_a_role_of_their_own(development: Deployment) -> None:
    for stack in development.both:
        role = stack.only("aws_backup_selection")["iam_role_arn"].rsplit("/")[-1]
        deployed = development.stacks["identity"].find("aws_iam_role", name=role)
        assert "backup.amazonaws.com" in deployed["assume_role_policy"]


def test_failed_backups_and_copies_tell_people(development: Deployment) -> None:
    """By EventBridge: what a vault notifies of has no failed backups any more."""
    for stack in development.both:
        names = describe(development.settings, ACCOUNT).names
        rule = stack.find("aws_cloudwatch_event_rule", name=names.backup_rule(stack.name))
        assert json.loads(rule["event_pattern"]) == {
            "source": ["aws.backup"],
            "detail-type": ["Backup Job State Change", "Copy Job State Change"],
            "detail": {"state": ["FAILED", "ABORTED", "EXPIRED", "PARTIAL"]},
        }
        target = stack.find("aws_cloudwatch_event_target", target_id="announce_backup")
        assert target["arn"].startswith("${aws_lambda_function.")
        assert not stack.all("aws_backup_vault_notifications")


def test_backups_and_copies_are_reported(development: Deployment) -> None:
    for stack in development.both:
        reports = stack.all("aws_backup_report_plan")
        assert {r["report_setting"]["report_template"] for r in reports} == {"BACKUP_JOB_REPORT", "COPY_JOB_REPORT"}
        assert {r["report_delivery_channel"]["s3_bucket_name"].split(".")[0] for r in reports} == {"${aws_s3_bucket"}


def test_buckets_are_private_encrypted_and_versioned(development: Deployment) -> None:
    for stack in development.both:
        buckets = {bucket["bucket"] for bucket in stack.all("aws_s3_bucket")}
        names = describe(development.settings, ACCOUNT).names
        assert buckets == {
            names.backup_reports_bucket(stack.name),
            names.salvage_bucket(stack.name),
            names.reports_bucket(stack.name),
        }
        for blocked in each_of_all(stack, "aws_s3_bucket_public_access_block"):
            assert all(blocked[b] is True for b in blocked if b.startswith(("block", "ignore", "restrict")))
        encrypted = {}
        for encryption in each_of_all(stack, "aws_s3_bucket_server_side_encryption_configuration"):
            (rule,) = encryption["rule"]
            bucket = stack.json["resource"]["aws_s3_bucket"][encryption["bucket"].split(".")[1]]
            encrypted[bucket["bucket"]] = rule["apply_server_side_encryption_by_default"]["sse_algorithm"]
        # AWS Backup delivers its reports in a service-linked role, which our key's policy does not name.
        assert encrypted == dict.fromkeys(buckets, "aws:kms") | {names.backup_reports_bucket(stack.name): "AES256"}
        for versions in each_of_all(stack, "aws_s3_bucket_versioning"):
            assert versions["versioning_configuration"] == {"status": "Enabled"}
        for policy in each_of_all(stack, "aws_s3_bucket_policy"):
            deny = [s for s in json.loads(policy["policy"])["Statement"] if s["Effect"] == "Deny"]
            assert [s["Condition"] for s in deny] == [{"Bool": {"aws:SecureTransport": "false"}}]


def each_of_all(stack: Stack, kind: str) -> list[dict[str, Any]]:
    found = stack.all(kind)
    assert len({each["bucket"] for each in found}) == len(stack.all("aws_s3_bucket")) == 3
    return found


def test_what_is_salvaged_is_kept_for_good(development: Deployment, production: Deployment) -> None:
    for stack in development.both:
        rules = [rule for found in stack.all("aws_s3_bucket_lifecycle_configuration") for rule in found["rule"]]
        assert sorted("expiration" in rule for rule in rules) == [False, False, True]
    for stack in production.both:
        assert [bucket["force_destroy"] for bucket in stack.all("aws_s3_bucket")] == [False] * 3


def test_production_backups_are_locked(development: Deployment, production: Deployment) -> None:
    for stack in development.both:
        assert not stack.all("aws_backup_vault_lock_configuration")
        assert stack.only("aws_backup_vault")["force_destroy"] is True
    for stack in production.both:
        lock = stack.only("aws_backup_vault_lock_configuration")
        assert (lock["min_retention_days"], lock["max_retention_days"]) == (7, 7)
        assert "changeable_for_days" not in lock  # governance mode: someone who may can still lift it
        assert stack.only("aws_backup_vault")["force_destroy"] is False


def test_reports_of_runs_are_locked(development: Deployment, production: Deployment) -> None:
    for deployment in (development, production):
        names = describe(deployment.settings, ACCOUNT).names
        for stack in deployment.both:
            locked = stack.find("aws_s3_bucket", bucket=names.reports_bucket(stack.name))
            assert locked["object_lock_enabled"] is True
            # Terraform deletes what is locked in governance mode where it may destroy the bucket.
            assert locked["force_destroy"] is (deployment is development)
            lock = stack.only("aws_s3_bucket_object_lock_configuration")
            assert lock["rule"] == {"default_retention": {"mode": "GOVERNANCE", "days": 365}}
            assert lock["depends_on"]  # S3 locks only what it keeps versions of
