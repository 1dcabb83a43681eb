"""The settings of one deployment: typed, validated before anything is synthesized or started.

Sources, the first that names a setting wins: arguments, environment variables (``FAILOVER_…``, nested ones joined
by ``__``), then the TOML file named by ``FAILOVER_SETTINGS`` (default ``settings.toml`` in the project's folder).
"""

from __future__ import annotations

import dataclasses
import difflib
import ipaddress
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from handlers.core.events import ALWAYS_IN_DETAIL, EVENTS
from handlers.core.hooks import Kind
from handlers.core.plain import plain, shortened
from handlers.core.reading import LONGEST_VALUE_SHOWN
from handlers.core.sessions import MOST_SESSIONS
from orchestration.existing import Existing, ExistingRegion, Section

PROJECT_ROOT = Path(__file__).resolve().parent.parent
SETTINGS_FILE_VARIABLE = "FAILOVER_SETTINGS"
VARIABLE_PREFIX = "FAILOVER_"
VARIABLE_DELIMITER = "__"  # between a section and its setting
MEANT = 0.8  # how alike an unknown variable and a setting must be for the one to be taken for the other (0 to 1)

# DynamoDB offers multi-region strong consistency inside these sets of three regions only (DynamoDB guide,
# "Multi-Region strong consistency"); the control record needs it, so the three regions must be one of them.
STRONG_CONSISTENCY_REGION_SETS = (
    frozenset({"us-east-1", "us-east-2", "us-west-2"}),
    frozenset({"eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1"}),
    frozenset({"ap-northeast-1", "ap-northeast-2", "ap-northeast-3"}),
)

# Route 53, IAM and others have their control planes in this region (AWS Fault Isolation Boundaries whitepaper).
US_CONTROL_PLANE_REGION = "us-east-1"

# Event triggers on login came with it; see `handlers/sql/monitoring.sql`.
FIRST_WITH_LOGIN_TRIGGER = 17

# What a VPC may have without surprises (RFC 1918). Python counts more as private, such as link-local and loopback.
PRIVATE_RANGES = tuple(ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))

# Which names of SSM documents nobody else can give (Systems Manager API reference, CreateDocument).
AMAZONS_OWN = ("aws", "amazon", "amzn")

# What the target of an AWS FIS experiment takes (FIS API reference, CreateExperimentTemplateTargetInput).
MOST_SUBNETS_CUT_OFF = 5

# 16 characters leave room for the longest name under the tightest limit (64: Lambda functions and IAM roles).
EnvironmentSuffix = Annotated[str, StringConstraints(pattern=r"^[a-z](-?[a-z0-9]){0,15}$", max_length=16)]
RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}-[a-z]+-[0-9]$")]
DnsName = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$", max_length=180)
]
# Terraform would read what stands in braces, so an address has none.
Email = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._%+'-]+@([A-Za-z0-9-]+\.)+[A-Za-z]{2,63}$", max_length=254)
]
SqlName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
AlarmName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/ -]{1,255}$", strip_whitespace=True)]


class SettingsError(Exception):
    """The settings cannot be used; the message names each field, its value and the remedy."""


class Database(Section):
    """The Aurora PostgreSQL global database."""

    name: SqlName = Field("payments", description="Name of the first database.")
    master_username: SqlName = Field("postgres_admin", description="Master user; its password is generated.")
    password_version: int = Field(
        1,
        ge=1,
        le=1_000_000,
        description="Raise it by one for a new generated master password, and never lower it: Terraform sets another "
        "one at each change. Apply it while the first writer's region is the writer.",
    )
    engine_version: str = Field(
        "17.5",
        pattern=r"^(1[5-9]|[2-9][0-9])\.[0-9]{1,2}$",  # \d would take the digits of every script
        description="Aurora PostgreSQL version, 17 or later, where a restarted server is fenced by a login trigger; of "
        "an existing database 15 or later.",
    )
    port: int = Field(5432, ge=1150, le=65535, description="TCP port of both clusters (RDS allows 1150 to 65535).")
    min_capacity: float = Field(0.5, ge=0.5, le=256, description="Lower bound of the writer region, in ACU.")
    standby_min_capacity: float = Field(
        0.5,
        ge=0.5,
        le=256,
        description="Lower bound of the standby, in ACU: size it for the load it must take over at once, because "
        "Serverless v2 grows slowly from a low minimum.",
    )
    max_capacity: float = Field(16.0, ge=1, le=256, description="Upper bound of both regions, in ACU.")
    capacity_follows: bool = Field(
        False,
        description="After a failover, raises the new writer's lower bound to what the old one used in the last hour. "
        "Nothing lowers it again, and Terraform leaves both lower bounds alone once the clusters are made.",
    )
    reserved_connections: int = Field(
        MOST_SESSIONS,
        ge=0,
        le=100,
        description="Connections of each instance that applications cannot take, so that the monitors can always ask "
        "the database and fence it: by default as many as both regions' monitors and a run of the workflow may hold at "
        "a time. 0 leaves it to AWS.",
    )
    backup_retention_days: int = Field(7, ge=7, le=35, description="Point-in-time recovery window, in days.")

    @field_validator("master_username")
    @classmethod
    def _free_username(cls, value: str) -> str:
        # The monitoring user may log in by IAM only; as the master user it would lose its password.
        if value == "monitor" or value.startswith(("pg_", "rds")):
            raise ValueError("taken by the orchestrator, PostgreSQL or RDS; choose another, such as postgres_admin")
        return value

    @field_validator("min_capacity", "standby_min_capacity", "max_capacity")
    @classmethod
    def _half_steps(cls, value: float) -> float:
        if value * 2 != int(value * 2):
            raise ValueError("Serverless v2 capacity comes in steps of 0.5 ACU; round it to one")
        return value

    @model_validator(mode="after")
    def _minimum_below_maximum(self) -> Self:
        for field in ("min_capacity", "standby_min_capacity"):
            if getattr(self, field) > self.max_capacity:
                raise ValueError(f"{field} {getattr(self, field)} is above max_capacity {self.max_capacity}; lower it")
        return self


class Thresholds(Section):
    """What counts as down and as lagging."""

    rpo_budget_ms: int = Field(
        1000,
        ge=1,
        le=60_000,
        description="Writes that a failover may lose without asking a person, in ms of lag.",
    )
    replication_lag_alarm_ms: int = Field(
        500,
        ge=1,
        le=60_000,
        description="Lag above this notifies people, in ms; it never triggers a failover.",
    )
    recovery_grace_s: int = Field(
        25,
        ge=10,
        le=300,
        description="How long the writer's guardian may say that its database is down, or not known, before that "
        "counts, in s: a restart, or Aurora's own failover inside the region, is mostly done by then and loses "
        "nothing. Longer adds to the RTO of a dead database in a region that lives; 25 keeps it under 60 s with "
        "Aurora's promotion taken as 30.",
    )
    cool_down_minutes: int = Field(
        30,
        ge=0,
        le=24 * 60,
        description="How long automatic failovers stay off after one of them, in min: a cause that is still there must "
        "not move the writer back and forth. Then they go on by themselves; a person may start one at any time.",
    )

    @model_validator(mode="after")
    def _warn_before_the_gate_closes(self) -> Self:
        if self.replication_lag_alarm_ms > self.rpo_budget_ms:
            raise ValueError(
                f"replication_lag_alarm_ms {self.replication_lag_alarm_ms} is above rpo_budget_ms "
                f"{self.rpo_budget_ms}; lower it, so that people hear of lag before it blocks a failover"
            )
        return self


class Salvage(Section):
    """How writes that a failover lost are written again; see docs/runbooks/reprotection.md."""

    replay: dict[
        Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?$")],
        Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_.]*\([a-z0-9_, ]*\)$", max_length=1000)],
    ] = Field(
        {},
        description="Table → a call of the application's own idempotent function with the table's columns, such as "
        'transfers = "transfer(id, source, destination, amount_cents)". Rows of other tables are shown, not replayed.',
    )


class Reports(Section):
    """The reports of runs, kept for auditors under S3 Object Lock."""

    retention_days: int = Field(
        365,
        ge=1,
        le=36_500,
        description="How long nobody may delete or change the report of a run, in days; it is kept for longer.",
    )
    mode: Literal["governance", "compliance"] = Field(
        "governance",
        description="compliance: nobody at all may, not even the account itself, so the bucket cannot be destroyed "
        "before; only in production. governance: whoever has s3:BypassGovernanceRetention may.",
    )


class Hook(Section):
    """What is started with an event of a run, beside it (docs/events.md); it has to be in both regions, by its name."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z](-?[a-z0-9]){0,29}$")] = Field(
        description="What messages call it: 1 to 30 lower-case letters, digits and single hyphens."
    )
    when: Literal["FailoverStarted", "FailoverWaits", "WriterMoved", "Unprotected", "Protected"] = Field(
        description="The event with which it is started."
    )
    function: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        None, description="Name of a Lambda function, which is given the event."
    )
    state_machine: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,80}$")] | None = Field(
        None, description="Name of a state machine, which is given the event."
    )
    document: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{3,128}$")] | None = Field(
        None, description="Name of an Automation runbook of the account, an SSM document."
    )
    document_role: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+=,.@-]{1,64}$")] | None = Field(
        None, description="Name of the role, without a path, that the document runs as: its AutomationAssumeRole."
    )
    parameters: tuple[str, ...] = Field(
        (), description="Fields of the event that the document is given, as parameters of their names."
    )
    timeout_seconds: int = Field(
        60, ge=1, le=600, description="How long it may take, in s; what takes longer has failed, and is not stopped."
    )
    required: bool = Field(False, description="Whether its failure raises an alarm; people are told in any case.")

    @property
    def _targets(self) -> list[tuple[Kind, str]]:
        named: dict[Kind, str | None] = {
            "function": self.function,
            "state_machine": self.state_machine,
            "document": self.document,
        }
        return [(kind, name) for kind, name in named.items() if name is not None]

    @property
    def starts(self) -> tuple[Kind, str]:
        """What it starts, and the name of that."""
        return self._targets[0]

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if len(self._targets) != 1:
            raise ValueError(f"hook {self.name} has to name a function, a state_machine or a document, and one only")
        return self

    @model_validator(mode="after")
    def _a_document_can_be_started(self) -> Self:
        if self.document is None:
            if self.document_role or self.parameters:
                raise ValueError(f"hook {self.name}: document_role and parameters belong to a document")
            return self
        if self.document_role is None:
            raise ValueError(f"hook {self.name}: name the document_role; without, it would run as whoever starts it")
        if self.document.lower().startswith(AMAZONS_OWN):
            raise ValueError(f"hook {self.name}: {self.document} is Amazon's; name one of your own, which may run it")
        event = next(one for one in EVENTS if one.__name__ == self.when)
        fields = [*ALWAYS_IN_DETAIL, *(field.name for field in dataclasses.fields(event))]
        for name in self.parameters:
            if name not in fields:
                raise ValueError(f"hook {self.name}: {self.when} has no field {name!r}; it has {', '.join(fields)}")
        return self


class GameDay(Section):
    """Game days: an experiment of AWS FIS that cuts the writer's database off, so that a failover comes of it."""

    enabled: bool = Field(
        False,
        description="Makes the experiment in both regions; only `failoverctl gameday --run` starts it.",
    )
    minutes: int = Field(
        20,
        ge=10,
        le=60,
        description="How long the cut lasts at most, in min; `failoverctl gameday` ends it with the failover.",
    )
    stop_alarms: tuple[AlarmName, ...] = Field(
        (),
        max_length=4,  # and one of our own: FIS takes five
        description="CloudWatch alarms, of these names in both regions, that end the cut when they ring: of what must "
        "not be hit, for the alarms of the database's own applications ring in every failover.",
    )


class State(Section):
    """Where Terraform's state is kept; without a bucket in files beside the project, for a first try."""

    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = Field(
        None, description="S3 bucket, made beforehand, with versions; the state is encrypted and locked there."
    )
    region: RegionName | None = Field(None, description="Region of the bucket: neither us-east-1 nor the writer's.")

    @model_validator(mode="after")
    def _bucket_with_region(self) -> Self:
        if (self.bucket is None) != (self.region is None):
            given, missing = ("bucket", "region") if self.bucket else ("region", "bucket")
            raise ValueError(f"{given} is given without {missing}; give both for remote state, or none for local state")
        return self


class Settings(BaseSettings):
    """Everything that may differ between two deployments of the product."""

    model_config = SettingsConfigDict(
        env_prefix=VARIABLE_PREFIX,
        env_nested_delimiter=VARIABLE_DELIMITER,
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    environment_suffix: EnvironmentSuffix = Field(
        description="Ends every resource's name: 1 to 16 lower-case letters, digits and single hyphens, a letter first."
    )
    environment: Literal["development", "staging", "production"] = Field(
        description="Production turns on deletion protection and final snapshots."
    )
    protection_override: bool = Field(
        False,
        description="Turns production's protection off, on purpose: only to destroy a production deployment.",
    )
    application: Annotated[str, StringConstraints(pattern=r"^[a-z](-?[a-z0-9]){0,11}$")] = Field(
        "payments", description="What the database is for; names the clusters (1 to 12 characters)."
    )
    writer_region: RegionName = Field("us-east-1", description="Where the writer is at deployment.")
    standby_region: RegionName = Field("us-west-2", description="Where the standby is at deployment.")
    witness_region: RegionName = Field("us-east-2", description="Third vote of the strongly consistent control table.")
    writer_cidr: str = Field("10.40.0.0/16", description="Address range of the writer region's VPC.")
    standby_cidr: str = Field("10.41.0.0/16", description="Address range of the standby region's VPC.")
    dns_zone: DnsName = Field("payments.internal", description="Private zone; the suffix is put before it.")
    trigger_mode: Literal["failover", "rehearsal"] = Field(
        "failover",
        description="What the alarm starts: a failover, or a rehearsal that checks, reports and changes nothing.",
    )
    alert_emails: tuple[Email, ...] = Field((), description="Who is told, besides those who subscribe to the topics.")
    log_retention_days: Literal[7, 14, 30, 60, 90, 180, 365] = Field(90, description="How long logs are kept.")
    database: Database = Database()
    thresholds: Thresholds = Thresholds()
    salvage: Salvage = Salvage()
    reports: Reports = Reports()
    hooks: tuple[Hook, ...] = Field((), max_length=10, description="What is started with events of runs, as [[hooks]].")
    application_alarms: tuple[AlarmName, ...] = Field(
        (),
        max_length=20,
        description="CloudWatch alarms of the application, of these names in both regions: while one of them rings, a "
        "run that has moved the writer counts as recovered with an unhealthy application.",
    )
    game_day: GameDay = GameDay()
    state: State = State()
    existing: Existing = Existing()

    @property
    def regions(self) -> tuple[str, str]:
        """The two database regions, the writer's at deployment first."""
        return (self.writer_region, self.standby_region)

    @property
    def protected(self) -> bool:
        """Whether databases, tables, keys and backups are held against destruction."""
        return self.environment == "production" and not self.protection_override

    def min_capacity(self, region: str) -> float:
        """Lower bound of the cluster in ``region``, in ACU."""
        return self.database.min_capacity if region == self.writer_region else self.database.standby_min_capacity

    @property
    def adopts(self) -> bool:
        """Whether the database exists already, with its two clusters, and is not ours."""
        return self.existing.global_cluster is not None

    def existing_in(self, region: str) -> ExistingRegion:
        """What exists in ``region`` and is not ours."""
        return self.existing.writer if region == self.writer_region else self.existing.standby

    def cidr(self, region: str) -> ipaddress.IPv4Network:
        """Address range of the VPC in ``region``."""
        ours = self.writer_cidr if region == self.writer_region else self.standby_cidr
        return ipaddress.IPv4Network(self.existing_in(region).vpc_cidr or ours)

    @field_validator("writer_cidr", "standby_cidr")
    @classmethod
    def _private_range(cls, value: str) -> str:
        try:
            network = ipaddress.IPv4Network(value)
        except ValueError as error:
            raise ValueError(f"{error}; give a network such as 10.40.0.0/16") from None
        if not any(network.subnet_of(allowed) for allowed in PRIVATE_RANGES) or not 16 <= network.prefixlen <= 24:
            raise ValueError(
                f"a VPC here is a private range of /16 to /24 inside {', '.join(map(str, PRIVATE_RANGES))}; "
                "give one such as 10.40.0.0/16"
            )
        return value

    @model_validator(mode="after")
    def _regions_fit(self) -> Self:
        chosen = {self.writer_region, self.standby_region, self.witness_region}
        if len(chosen) < 3:
            raise ValueError("writer_region, standby_region and witness_region must be three different regions")
        if not any(chosen <= allowed for allowed in STRONG_CONSISTENCY_REGION_SETS):
            sets = "; ".join(", ".join(sorted(s)) for s in STRONG_CONSISTENCY_REGION_SETS)
            raise ValueError(
                f"{', '.join(sorted(chosen))} are not of one set of regions in which DynamoDB offers multi-region "
                f"strong consistency; choose writer, standby and witness from one of: {sets}"
            )
        return self

    @model_validator(mode="after")
    def _state_survives_the_writer_region(self) -> Self:
        dark = {self.writer_region, US_CONTROL_PLANE_REGION}
        if self.state.region in dark:
            raise ValueError(
                f"state.region {self.state.region} may fail together with what Terraform is then needed for; keep the "
                f"state in another region than {' and '.join(sorted(dark))}, such as {self.standby_region}"
            )
        return self

    @model_validator(mode="after")
    def _ranges_apart(self) -> Self:
        if self.cidr(self.writer_region).overlaps(self.cidr(self.standby_region)):
            fields = [
                f"existing.{name}.vpc_cidr" if there.vpc_cidr else f"{name}_cidr"
                for name, there in self.existing.both.items()
            ]
            first, second = (f"{field} {self.cidr(region)}" for field, region in zip(fields, self.regions, strict=True))
            raise ValueError(
                f"{first} and {second} overlap, so the two VPCs cannot be joined; choose ranges that do not"
            )
        return self

    @model_validator(mode="after")
    def _starts_fenced(self) -> Self:
        if not self.adopts and int(self.database.engine_version.split(".")[0]) < FIRST_WITH_LOGIN_TRIGGER:
            raise ValueError(
                f"database.engine_version {self.database.engine_version} has no login trigger to fence a restarted "
                f"server; choose {FIRST_WITH_LOGIN_TRIGGER} or later"
            )
        return self

    @model_validator(mode="after")
    def _existing_is_in_its_region(self) -> Self:
        for name, there in self.existing.both.items():
            region = getattr(self, f"{name}_region")
            if there.storage_key_arn and there.storage_key_arn.split(":")[3] != region:
                raise ValueError(
                    f"existing.{name}.storage_key_arn {there.storage_key_arn} is not in {name}_region {region}; "
                    "exchange the two regions, or name the key of this one"
                )
        return self

    @model_validator(mode="after")
    def _nobody_subscribes_to_what_is_not_ours(self) -> Self:
        topics = [there.alert_topic for there in self.existing.both.values() if there.alert_topic]
        if self.alert_emails and topics:
            raise ValueError(
                f"alert_emails {', '.join(self.alert_emails)} would be subscribed to the existing topic "
                f"{' and '.join(topics)}; remove them here and subscribe them there"
            )
        return self

    @field_validator("hooks")
    @classmethod
    def _hooks_have_names(cls, value: tuple[Hook, ...]) -> tuple[Hook, ...]:
        names = [hook.name for hook in value]
        if len(set(names)) < len(names):
            raise ValueError("two hooks have one name; messages could not tell them apart")
        return value

    @model_validator(mode="after")
    def _capacity_is_ours_to_change(self) -> Self:
        if self.database.capacity_follows and self.adopts:
            raise ValueError("database.capacity_follows would change a database that is not ours; remove it")
        return self

    @model_validator(mode="after")
    def _a_game_day_reaches_its_aim(self) -> Self:
        for name, there in self.existing.both.items() if self.game_day.enabled else ():
            if len(there.database_subnet_ids) > MOST_SUBNETS_CUT_OFF:
                raise ValueError(
                    f"existing.{name}.database_subnet_ids are more than {MOST_SUBNETS_CUT_OFF}, the most that a game "
                    "day cuts off; leave game_day out"
                )
            shared = sorted(set(there.function_subnet_ids) & set(there.database_subnet_ids))
            if shared:
                raise ValueError(
                    f"existing.{name}: {', '.join(shared)} are of the database and of the prober; inside a subnet "
                    "nothing is cut off, so the prober would still find the writer: give it subnets of its own, or "
                    "leave game_day out"
                )
        return self

    @model_validator(mode="after")
    def _override_only_in_production(self) -> Self:
        if self.protection_override and self.environment != "production":
            raise ValueError("protection_override has no meaning outside production; remove it")
        return self

    @model_validator(mode="after")
    def _what_is_not_production_can_be_destroyed(self) -> Self:
        if self.reports.mode == "compliance" and self.environment != "production":
            raise ValueError(
                "reports.mode compliance would keep a deployment that is no production from being destroyed for "
                f"{self.reports.retention_days} days; use governance"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is pydantic-settings'
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments before environment variables before the TOML file; nothing else is read."""
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls, toml_file=settings_file()),
        )


def settings_file() -> Path:
    """Returns the file from which the settings are read."""
    return Path(os.environ.get(SETTINGS_FILE_VARIABLE, PROJECT_ROOT / "settings.toml"))


def load(**overrides: Any) -> Settings:
    """Reads and validates the settings.

    Parameters
    ----------
    overrides
        settings given by the caller; they win over the environment and the file.

    Raises
    ------
    SettingsError
        when the file is missing or unreadable, or a setting is missing, unknown or not allowed, or an environment
        variable is named like a setting and is none; one line a fault.
    """
    source = settings_file()
    if not source.is_file():
        raise SettingsError(f"{SETTINGS_FILE_VARIABLE}: no settings file at {source}; create it, or name another")
    unknown = _unknown_variables()
    lines = list(unknown.values())
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        lines += [_fault(dict(fault)) for fault in error.errors() if _variable(fault["loc"]) not in unknown]
    except (ValueError, OSError) as error:  # the file itself, or a variable that is not JSON where it must be
        raise SettingsError(f"the settings cannot be read ({source}): {error}; correct the file's syntax") from None
    if lines:
        raise SettingsError(f"{len(lines)} setting(s) cannot be used ({source}):\n" + "\n".join(lines))
    return settings


def _unknown_variables() -> dict[str, str]:
    """Environment variables that begin as a setting's and are none: each with its fault, in one line.

    Not with its value: nobody knows what it is, and it may be a secret.
    """
    known = {SETTINGS_FILE_VARIABLE, *map(_variable, _paths(Settings))}
    faults = {}
    for variable in os.environ:
        name = variable.upper()  # pydantic-settings takes either case
        if (
            name.startswith(VARIABLE_PREFIX)
            and name not in known
            and not name.startswith(_variable(("salvage", "replay__")))
        ):
            meant = difflib.get_close_matches(name, sorted(known), n=1, cutoff=MEANT)
            hint = f"; {meant[0]} may be meant" if meant else ""
            faults[name] = f"  {variable}: there is no such setting; unset it or correct its name{hint}"
    return faults


def _paths(section: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """The path of every setting, and of every section, in a section."""
    for name, field in section.model_fields.items():
        yield (name,)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from ((name, *path) for path in _paths(field.annotation))


def _variable(path: tuple[int | str, ...]) -> str:
    """The environment variable of a setting."""
    return VARIABLE_PREFIX + VARIABLE_DELIMITER.join(str(part) for part in path).upper()


def _fault(fault: dict[str, Any]) -> str:
    """One fault of the validation in one line: the field, its value, what is wrong and what to do."""
    field = shortened(plain(".".join(str(part) for part in fault["loc"])), LONGEST_VALUE_SHOWN) or "settings"
    described = Settings.model_fields.get(str(fault["loc"][0])) if fault["loc"] else None
    hint = f" ({described.description})" if described is not None and described.description else ""
    variable = _variable(fault["loc"])
    message = re.sub(r"^Value error, ", "", fault["msg"])
    if fault["type"] == "missing":
        return f"  {field}: missing; set it in the settings file or as {variable}{hint}"
    if fault["type"] == "extra_forbidden":
        return f"  {field}: there is no such setting; remove it or correct its name"
    if not fault["loc"]:
        return f"  {message}"
    return f"  {field} = {shortened(repr(fault['input']), LONGEST_VALUE_SHOWN)}: {message}{hint}"
