"""Settings: any legal ones make a deployment, any illegal ones give one clear error."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.settings import PRIVATE_RANGES, STRONG_CONSISTENCY_REGION_SETS, SettingsError, load
from orchestration.specification import describe
from orchestration.specification.names import MONITORING_USER, region_short
from tests.infrastructure.synthesized import ACCOUNT, synthesized

SUFFIXES = st.from_regex(r"[a-z](-?[a-z0-9]){0,15}", fullmatch=True).filter(lambda text: len(text) <= 16)
APPLICATIONS = st.from_regex(r"[a-z](-?[a-z0-9]){0,11}", fullmatch=True).filter(lambda text: len(text) <= 12)
SQL_NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
MASTER_NAMES = SQL_NAMES.filter(lambda text: text != MONITORING_USER and not text.startswith(("pg_", "rds")))
ZONES = st.from_regex(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){1,3}[a-z]{2,63}", fullmatch=True).filter(
    lambda text: len(text) <= 180
)
HALF_UNITS = st.integers(1, 512).map(lambda halves: halves / 2)


@st.composite
def region_triples(draw: st.DrawFn) -> tuple[str, str, str]:
    allowed = draw(st.sampled_from([sorted(regions) for regions in STRONG_CONSISTENCY_REGION_SETS]))
    writer, standby, witness, *_ = draw(st.permutations(allowed))
    return writer, standby, witness


@st.composite
def ranges(draw: st.DrawFn) -> tuple[str, str]:
    """Two private ranges that do not overlap."""
    private = draw(st.sampled_from(PRIVATE_RANGES))
    prefix = draw(st.integers(max(16, private.prefixlen + 1), 24))
    count = 2 ** (prefix - private.prefixlen)
    first, second = draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=2, unique=True))
    step = 2 ** (32 - prefix)
    base = int(private.network_address)
    return tuple(f"{ipaddress.IPv4Address(base + index * step)}/{prefix}" for index in (first, second))  # type: ignore[return-value]


@st.composite
def legal(draw: st.DrawFn) -> dict[str, Any]:
    """Any legal settings."""
    environment = draw(st.sampled_from(["development", "staging", "production"]))
    writer, standby, witness = draw(region_triples())
    writer_cidr, standby_cidr = draw(ranges())
    largest = draw(HALF_UNITS.filter(lambda units: units >= 1))
    smaller = HALF_UNITS.filter(lambda units: units <= largest)
    budget = draw(st.integers(1, 60_000))
    remote = draw(st.booleans())
    return {
        "environment_suffix": draw(SUFFIXES),
        "application": draw(APPLICATIONS),
        "environment": environment,
        "protection_override": environment == "production" and draw(st.booleans()),
        "writer_region": writer,
        "standby_region": standby,
        "witness_region": witness,
        "writer_cidr": writer_cidr,
        "standby_cidr": standby_cidr,
        "trigger_mode": draw(st.sampled_from(["failover", "rehearsal"])),
        "alert_emails": tuple(draw(st.lists(st.just("someone@example.org"), max_size=2))),
        "log_retention_days": draw(st.sampled_from([7, 14, 30, 60, 90, 180, 365])),
        "dns_zone": draw(ZONES),
        "database": {
            "name": draw(SQL_NAMES),
            "master_username": draw(MASTER_NAMES),
            "engine_version": f"{draw(st.integers(17, 18))}.{draw(st.integers(1, 99))}",
            "port": draw(st.integers(1150, 65535)),
            "min_capacity": draw(smaller),
            "standby_min_capacity": draw(smaller),
            "max_capacity": largest,
            "backup_retention_days": draw(st.integers(7, 35)),
            "password_version": draw(st.integers(1, 1_000_000)),
        },
        "thresholds": {
            "rpo_budget_ms": budget,
            "replication_lag_alarm_ms": draw(st.integers(1, budget)),
            "recovery_grace_s": draw(st.integers(10, 300)),
        },
        "state": {"bucket": "some-bucket", "region": standby if standby != "us-east-1" else witness} if remote else {},
    }


@settings(max_examples=60)
@given(legal())
def test_any_legal_settings_describe_a_deployment_whose_names_fit(given_: dict[str, Any]) -> None:
    described = describe(load(**given_), "123456789012")
    suffix = given_["environment_suffix"]
    assert len(described.regions) == 2
    for region in described.regions.values():
        functions = [function.name for function in region.functions.values()]
        roles = [*functions, region.state_machine.name, region.rules[0].name, region.role_for_peer.name]
        roles += [described.names.flow_log(region.name), described.names.backup_vault(region.name)]
        assert len(set(roles)) == len(roles)
        for name in roles:
            assert re.fullmatch(r"[\w-]{1,64}", name)
            assert name.endswith(f"-{region_short(region.name)}-{suffix}")
        assert re.fullmatch(r"[a-z](-?[a-z0-9]){0,62}", region.cluster.identifier)
        assert re.fullmatch(r"[a-zA-Z0-9_-]{2,50}", described.names.backup_vault(region.name))
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", described.names.backup_reports_bucket(region.name))
        keys = [alarm.key for alarm in (*region.alarms, *region.upkeep_alarms)]
        assert len(set(keys)) == len(keys)
    assert re.fullmatch(r"[a-z](-?[a-z0-9]){0,62}", described.global_identifier)
    assert re.fullmatch(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", described.zone.writer_name)


@settings(
    max_examples=4, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(legal())
def test_any_legal_settings_synthesize(tmp_path_factory: pytest.TempPathFactory, given_: dict[str, Any]) -> None:
    deployment = synthesized(tmp_path_factory.mktemp("legal"), **given_)
    assert list(deployment.stacks) == ["identity", given_["writer_region"], given_["standby_region"], "global"]
    for stack in deployment.both:
        assert stack.only("aws_rds_cluster")["port"] == given_["database"]["port"]
    version = given_["database"]["password_version"]
    assert deployment.writer.only("aws_secretsmanager_secret_version")["secret_string_wo_version"] == version
    assert deployment.writer.only("aws_rds_cluster")["master_password_wo_version"] == version


ILLEGAL = [
    ({"environment_suffix": "Prod"}, "environment_suffix = 'Prod'", "lower-case"),
    ({"environment_suffix": "a--b"}, "environment_suffix", "single hyphens"),
    ({"environment_suffix": "a" * 17}, "environment_suffix", "1 to 16"),
    ({"environment_suffix": ""}, "environment_suffix", "1 to 16"),
    ({"environment": "test"}, "environment = 'test'", "production"),
    ({"application": "Payments"}, "application", "1 to 12 characters"),
    ({"writer_region": "us-west-2"}, "three different regions", "must be"),
    ({"witness_region": "eu-west-1"}, "eu-west-1", "choose writer, standby and witness"),
    ({"writer_cidr": "10.40.0.0/8"}, "10.40.0.0/8", "give a network"),
    ({"writer_cidr": "10.0.0.0/8"}, "10.0.0.0/8", "/16 to /24"),
    ({"writer_cidr": "8.8.0.0/16"}, "8.8.0.0/16", "private range"),
    ({"writer_cidr": "169.254.0.0/16"}, "169.254.0.0/16", "private range"),
    ({"writer_cidr": "10.41.0.0/16"}, "overlap", "choose ranges"),
    ({"protection_override": True}, "protection_override", "remove it"),
    ({"database": {"min_capacity": 0.7}}, "min_capacity = 0.7", "steps of 0.5"),
    ({"database": {"min_capacity": 0}}, "min_capacity = 0", "greater than or equal to 0.5"),
    ({"database": {"min_capacity": 20}}, "min_capacity 20", "lower it"),
    ({"reports": {"mode": "compliance"}}, "compliance", "use governance"),
    ({"database": {"backup_retention_days": 6}}, "backup_retention_days = 6", "greater than or equal to 7"),
    ({"database": {"name": "Payments"}}, "name = 'Payments'", "pattern"),
    ({"database": {"password_version": 0}}, "password_version = 0", "greater than or equal to 1"),
    ({"database": {"password_version": 1.5}}, "password_version = 1.5", "valid integer"),
    ({"database": {"engine_version": "17"}}, "engine_version = '17'", "pattern"),
    ({"database": {"engine_version": "14.99"}}, "engine_version = '14.99'", "pattern"),
    ({"database": {"engine_version": "16.99"}}, "database.engine_version 16.99", "choose 17 or later"),
    (
        {
            "writer_region": "us-west-2",
            "standby_region": "us-east-2",
            "witness_region": "us-east-1",
            "state": {"bucket": "some-bucket", "region": "us-west-2"},
        },
        "state.region us-west-2",
        "keep the state in another region",
    ),
    ({"database": {"master_username": MONITORING_USER}}, "master_username = 'monitor'", "choose another"),
    ({"database": {"master_username": "rdsadmin"}}, "master_username = 'rdsadmin'", "choose another"),
    ({"database": {"master_username": "pg_owner"}}, "master_username = 'pg_owner'", "choose another"),
    ({"database": {"port": 80}}, "port = 80", "1150"),
    ({"thresholds": {"replication_lag_alarm_ms": 2000}}, "replication_lag_alarm_ms 2000", "lower it"),
    ({"thresholds": {"recovery_grace_s": 5}}, "recovery_grace_s = 5", "greater than or equal to 10"),
    ({"state": {"bucket": "some-bucket"}}, "bucket is given without region", "give both"),
    ({"state": {"bucket": "some-bucket", "region": "us-east-1"}}, "state.region us-east-1", "another region"),
    ({"alert_emails": ("nobody",)}, "nobody", "pattern"),
    ({"no_such_setting": 1}, "no_such_setting", "there is no such setting"),
]


@pytest.mark.parametrize(("wrong", "field", "remedy"), ILLEGAL, ids=[str(case[0]) for case in ILLEGAL])
def test_illegal_settings_give_one_error_with_field_value_and_remedy(
    wrong: dict[str, Any], field: str, remedy: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**{"environment_suffix": "test", "environment": "development", **wrong})
    message = str(caught.value)
    assert message.startswith("1 setting(s) cannot be used")
    assert field in message
    assert remedy in message


@settings(max_examples=60)
@given(st.text(max_size=20), st.sampled_from(["environment_suffix", "application", "dns_zone", "writer_cidr"]))
def test_any_text_is_a_legal_setting_or_gives_one_error_that_names_it(text: str, field: str) -> None:
    given_ = {"environment_suffix": "test", "environment": "development", field: text}
    refusal = refused(given_)
    if refusal is None:
        describe(load(**given_), ACCOUNT)
    else:
        assert field in refusal


def refused(given_: dict[str, Any]) -> str | None:
    """The error that these settings give, or None."""
    try:
        load(**given_)
    except SettingsError as error:
        return str(error)
    return None


def test_state_is_remote_encrypted_and_locked_where_the_settings_say_so(tmp_path: Path) -> None:
    deployment = synthesized(tmp_path, state={"bucket": "some-bucket", "region": "us-west-2"})
    backends = [stack.json["terraform"]["backend"] for stack in deployment.stacks.values()]
    assert {tuple(backend) for backend in backends} == {("s3",)}
    for backend in backends:
        assert backend["s3"]["bucket"] == "some-bucket"
        assert backend["s3"]["region"] == "us-west-2"
        assert backend["s3"]["encrypt"] is True
        assert backend["s3"]["use_lockfile"] is True
    assert {backend["s3"]["key"] for backend in backends} == {
        f"payments/test/{stack}.tfstate" for stack in ("identity", "us-east-1", "us-west-2", "global")
    }


def test_settings_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FAILOVER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FAILOVER_DATABASE__MIN_CAPACITY", "1.5")
    monkeypatch.setenv("FAILOVER_STATE__BUCKET", "some-bucket")
    monkeypatch.setenv("FAILOVER_STATE__REGION", "us-west-2")
    loaded = load(environment_suffix="test")
    assert loaded.database.min_capacity == 1.5
    assert loaded.state.region == "us-west-2"


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("FAILOVER_DATABASE_MAX_CAPACITY", "FAILOVER_DATABASE__MAX_CAPACITY"),
        ("FAILOVER_DATABASE__MAX_CAPACTY", "FAILOVER_DATABASE__MAX_CAPACITY"),
        ("FAILOVER_WRITER_REGION__NAME", "FAILOVER_WRITER_REGION"),
        ("failover_trigger_mod", "FAILOVER_TRIGGER_MODE"),
        ("FAILOVER_XYZ", None),
    ],
)
def test_a_variable_that_is_no_setting_gives_one_error_with_field_and_remedy(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str | None
) -> None:
    monkeypatch.setenv(variable, "some value")
    with pytest.raises(SettingsError) as raised:
        load()
    (_, line) = str(raised.value).splitlines()
    hint = f"; {meant} may be meant" if meant else ""
    assert line == f"  {variable}: there is no such setting; unset it or correct its name{hint}"


def test_an_unknown_variable_is_told_together_with_the_other_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILOVER_XYZ", "1")
    monkeypatch.setenv("FAILOVER_ENVIRONMENT_SUFFIX", "Not_Legal")
    with pytest.raises(SettingsError, match="2 setting") as raised:
        load()
    assert "FAILOVER_XYZ: there is no such setting" in str(raised.value)
    assert "environment_suffix = 'Not_Legal'" in str(raised.value)


def test_replays_can_be_given_table_by_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILOVER_SALVAGE__REPLAY__transfers", "transfer(id, amount)")
    monkeypatch.setenv("UNRELATED_FAILOVER_XYZ", "1")
    assert load().salvage.replay == {"transfers": "transfer(id, amount)"}
