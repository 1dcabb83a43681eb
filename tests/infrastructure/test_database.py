"""The Aurora global database as it is deployed, and what keeps Terraform from undoing a failover."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestration.settings import PROJECT_ROOT, Database
from tests.infrastructure.synthesized import Deployment, synthesized

NEVER_UNDONE = {"global_cluster_identifier", "replication_source_identifier", "engine_version"}


def test_terraform_leaves_alone_what_a_failover_changes(development: Deployment, production: Deployment) -> None:
    for deployment in (development, production):
        for stack in deployment.both:
            assert set(stack.only("aws_rds_cluster")["lifecycle"]["ignore_changes"]) >= NEVER_UNDONE


def test_terraform_does_not_replace_a_first_cluster_that_was_rebuilt_as_a_secondary(
    development: Deployment, production: Deployment
) -> None:
    """RDS need not tell the user and the database that it was once made with, and neither can be changed in place."""
    for deployment in (development, production):
        first = deployment.writer.only("aws_rds_cluster")
        made_with = {"master_username", "database_name"}
        assert made_with <= set(first)
        assert made_with <= set(first["lifecycle"]["ignore_changes"])


def test_terraform_does_not_replace_a_global_database_that_was_rebuilt(
    development: Deployment, production: Deployment
) -> None:
    for deployment in (development, production):
        lifecycle = deployment.writer.only("aws_rds_global_cluster")["lifecycle"]
        assert set(lifecycle["ignore_changes"]) == {"engine_version", "storage_encrypted"}


def test_p8_terraform_neither_replaces_nor_upgrades_an_instance(
    development: Deployment, production: Deployment
) -> None:
    """A zone that joins the account's list moves the others by one, and an instance cannot be moved in place."""
    for deployment in (development, production):
        for stack in deployment.both:
            for instance in stack.all("aws_rds_cluster_instance"):
                assert set(instance["lifecycle"]["ignore_changes"]) == {"availability_zone", "engine_version"}


def test_terraform_does_not_lift_a_fence(development: Deployment, production: Deployment) -> None:
    """A fence is another security group of the cluster; an apply would give the cluster its first one back."""
    for deployment in (development, production):
        for stack in deployment.both:
            cluster = stack.only("aws_rds_cluster")
            assert "vpc_security_group_ids" in cluster["lifecycle"]["ignore_changes"]
            assert not any("vpc_security_group_ids" in instance for instance in stack.all("aws_rds_cluster_instance"))


def test_cluster_is_made_open_to_its_clients(development: Deployment) -> None:
    for stack in development.both:
        (used,) = stack.only("aws_rds_cluster")["vpc_security_group_ids"]
        assert used == f"${{{stack.security_group('database')}.id}}"


def test_a_destroy_takes_a_fenced_cluster_away_before_the_group_that_holds_it(development: Deployment) -> None:
    for stack in development.both:
        assert stack.security_group("fence") in stack.only("aws_rds_cluster")["depends_on"]


def test_first_cluster_is_made_inside_the_global_database(development: Deployment) -> None:
    (logical_id,) = development.writer.json["resource"]["aws_rds_global_cluster"]
    assert "source_db_cluster_identifier" not in development.writer.only("aws_rds_global_cluster")
    cluster = development.writer.only("aws_rds_cluster")
    assert cluster["global_cluster_identifier"] == f"${{aws_rds_global_cluster.{logical_id}.id}}"


def test_secondary_joins_by_name_and_brings_no_user_of_its_own(development: Deployment) -> None:
    secondary = development.standby.only("aws_rds_cluster")
    assert not development.standby.all("aws_rds_global_cluster")
    assert (
        secondary["global_cluster_identifier"]
        == development.writer.only("aws_rds_global_cluster")["global_cluster_identifier"]
    )
    assert not {"master_username", "master_password_wo", "database_name"} & set(secondary)
    assert secondary["source_region"] == development.settings.writer_region


def test_two_serverless_instances_in_different_zones(development: Deployment) -> None:
    for stack in development.both:
        instances = stack.all("aws_rds_cluster_instance")
        assert {instance["instance_class"] for instance in instances} == {"db.serverless"}
        assert len({instance["availability_zone"] for instance in instances}) == len(instances) == 2
        assert not any(instance["publicly_accessible"] for instance in instances)


def test_capacity_starts_at_half_a_unit(development: Deployment) -> None:
    for stack in development.both:
        assert stack.only("aws_rds_cluster")["serverlessv2_scaling_configuration"]["min_capacity"] == 0.5


def test_standby_has_a_minimum_of_its_own(tmp_path: Path) -> None:
    deployment = synthesized(tmp_path, database={"standby_min_capacity": 4})
    minimum = {
        s.name: s.only("aws_rds_cluster")["serverlessv2_scaling_configuration"]["min_capacity"] for s in deployment.both
    }
    assert minimum == {"us-east-1": 0.5, "us-west-2": 4}


def test_every_connection_uses_tls(development: Deployment) -> None:
    for stack in development.both:
        parameters = {p["name"]: p["value"] for p in stack.only("aws_rds_cluster_parameter_group")["parameter"]}
        assert parameters["rds.force_ssl"] == "1"
        assert {i["ca_cert_identifier"] for i in stack.all("aws_rds_cluster_instance")} == {"rds-ca-rsa2048-g1"}


def test_the_guide_names_as_many_reserved_connections_as_there_are_by_default() -> None:
    guide = (PROJECT_ROOT / "docs/deploy.md").read_text()
    assert f"\nreserved_connections = {Database().reserved_connections} " in guide
    assert f"{Database().reserved_connections}, of about 190" in guide


@pytest.mark.parametrize(("kept", "parameter"), [(10, "10"), (0, None)])
def test_p10_connections_are_kept_for_the_monitors_or_left_to_aws(
    kept: int, parameter: str | None, tmp_path: Path
) -> None:
    for stack in synthesized(tmp_path, database={"reserved_connections": kept}).both:
        parameters = {p["name"]: p for p in stack.only("aws_rds_cluster_parameter_group")["parameter"]}
        assert parameters.get("reserved_connections", {}).get("value") == parameter
        if parameter:  # Terraform's default would be refused: it is a static parameter
            assert parameters["reserved_connections"]["apply_method"] == "pending-reboot"


def test_each_region_encrypts_with_its_own_key(development: Deployment) -> None:
    for stack in development.both:
        cluster = stack.only("aws_rds_cluster")
        assert cluster["storage_encrypted"] is True
        assert re.fullmatch(r"\$\{aws_kms_key\.\w+\.arn\}", cluster["kms_key_id"])
        assert stack.only("aws_kms_key")["enable_key_rotation"] is True


def test_people_and_functions_log_in_by_iam(development: Deployment) -> None:
    for stack in development.both:
        assert stack.only("aws_rds_cluster")["iam_database_authentication_enabled"] is True


def test_maintenance_never_takes_both_regions_at_once(development: Deployment) -> None:
    days = set()
    for stack in development.both:
        cluster = stack.only("aws_rds_cluster")
        windows = {one["preferred_maintenance_window"] for one in [cluster, *stack.all("aws_rds_cluster_instance")]}
        (window,) = windows
        day, hours = window[:3], window.split("-")[0][4:]
        days.add(day)
        assert cluster["preferred_backup_window"].split("-")[0] != hours  # RDS demands that they lie apart
    assert len(days) == 2


def test_statements_can_be_run_over_the_data_api_in_whichever_region_writes(development: Deployment) -> None:
    for stack in development.both:
        assert stack.only("aws_rds_cluster")["enable_http_endpoint"] is True


def test_postgresql_logs_are_exported(development: Deployment) -> None:
    for stack in development.both:
        assert stack.only("aws_rds_cluster")["enabled_cloudwatch_logs_exports"] == ["postgresql"]


def test_performance_insights_are_on_where_the_capacity_allows_it(tmp_path: Path, development: Deployment) -> None:
    for stack in development.both:
        assert not any(i["performance_insights_enabled"] for i in stack.all("aws_rds_cluster_instance"))
    larger = synthesized(tmp_path, database={"standby_min_capacity": 2})
    enabled = {
        stack.name: {i["performance_insights_enabled"] for i in stack.all("aws_rds_cluster_instance")}
        for stack in larger.both
    }
    assert enabled == {"us-east-1": {False}, "us-west-2": {True}}
    for instance in larger.standby.all("aws_rds_cluster_instance"):
        assert instance["performance_insights_kms_key_id"].startswith("${aws_kms_key.")


def test_engine_is_upgraded_on_purpose_only(development: Deployment) -> None:
    for stack in development.both:
        assert not any(i["auto_minor_version_upgrade"] for i in stack.all("aws_rds_cluster_instance"))


def test_backups_are_kept_for_seven_days(development: Deployment) -> None:
    for stack in development.both:
        assert stack.only("aws_rds_cluster")["backup_retention_period"] == 7


def test_master_password_never_reaches_the_state(development: Deployment) -> None:
    cluster = development.writer.only("aws_rds_cluster")
    version = development.writer.only("aws_secretsmanager_secret_version")
    assert "master_password" not in cluster
    assert "manage_master_user_password" not in cluster
    assert "secret_string" not in version
    assert "ephemeral.aws_secretsmanager_random_password.master" in version["secret_string_wo"]
    # Read back from the secret, so that a deployment that was interrupted in between sets what the secret holds.
    assert "ephemeral.aws_secretsmanager_secret_version.master" in cluster["master_password_wo"]


def test_the_copy_of_the_master_secret_is_made_when_its_regions_key_is_there(development: Deployment) -> None:
    """One that Terraform made with this region would have AWS's own key; another would race with its removal."""
    secret = development.writer.only("aws_secretsmanager_secret")
    assert secret["kms_key_id"].startswith("${aws_kms_key.")
    assert "replica" not in secret
    assert secret["lifecycle"]["ignore_changes"] == ["replica"]


@pytest.mark.parametrize(("deployment", "protected"), [("development", False), ("production", True)])
def test_production_is_protected(deployment: str, protected: bool, request: pytest.FixtureRequest) -> None:
    synthesized_deployment: Deployment = request.getfixturevalue(deployment)
    for stack in synthesized_deployment.both:
        cluster = stack.only("aws_rds_cluster")
        assert cluster["deletion_protection"] is protected
        assert cluster["skip_final_snapshot"] is not protected
        assert cluster["final_snapshot_identifier"] == f"{cluster['cluster_identifier']}-final"
        assert cluster["lifecycle"]["prevent_destroy"] is protected
        assert cluster["apply_immediately"] is not protected
    assert synthesized_deployment.writer.only("aws_rds_global_cluster")["deletion_protection"] is protected


def test_override_lifts_the_protection_of_production_but_keeps_the_final_snapshot(tmp_path: Path) -> None:
    deployment = synthesized(tmp_path, environment="production", protection_override=True)
    for stack in deployment.both:
        cluster = stack.only("aws_rds_cluster")
        assert cluster["deletion_protection"] is False
        assert cluster["apply_immediately"] is True
        assert cluster["lifecycle"]["prevent_destroy"] is False
        assert cluster["skip_final_snapshot"] is False
