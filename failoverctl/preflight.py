"""``failoverctl preflight``: says before the first deployment what the account and this machine lack for it."""

from __future__ import annotations

from failoverctl import found
from failoverctl.account import Account
from failoverctl.asks import beforehand, database
from failoverctl.assumption import Assumption, ask_all
from failoverctl.command import Session
from failoverctl.errors import Refused
from failoverctl.findings import EXIT_CODES, PageFile, show, write_page
from handlers.core.readiness import Level, verdict
from orchestration.settings import Settings

ALWAYS: tuple[Assumption, ...] = (
    Assumption(
        "programs",
        holds="Terraform 1.11 or later and curl are on this machine.",
        calls=(),
        otherwise="install them and put them on PATH",
        rests=("docs/deploy.md",),
        ask=beforehand.programs,
        where="once",
    ),
    Assumption(
        "credentials",
        holds="The credentials are of the account that is meant, and not the root user's.",
        calls=("sts:GetCallerIdentity",),
        otherwise="use a role for deployments",
        rests=("docs/deploy.md",),
        ask=beforehand.credentials,
        where="once",
    ),
    Assumption(
        "first-time",
        holds="Nothing is deployed under this suffix.",
        calls=("dynamodb:DescribeTable",),
        otherwise="for a change of it, `failoverctl apply-safe`; for a second deployment choose another "
        "`environment_suffix`",
        rests=("docs/deploy.md",),
        ask=beforehand.first_time,
    ),
    Assumption(
        "regions",
        holds="The regions of writer, standby and witness are enabled in the account.",
        calls=("ec2:DescribeRegions",),
        otherwise="enable them in the account's settings, or choose others",
        rests=("orchestration/settings.py",),
        ask=beforehand.enabled,
        where="first",
    ),
    Assumption(
        "state-bucket",
        holds="The bucket of Terraform's state is there and keeps versions.",
        calls=("s3:ListBucket", "s3:GetBucketVersioning"),
        otherwise="create it and turn versioning on (docs/deploy.md); files beside the project do for a first try only",
        rests=("docs/deploy.md", "orchestration/stacks/base.py"),
        ask=beforehand.state_bucket,
        where="once",
    ),
    Assumption(
        "service-linked-roles",
        holds="AWS Backup has its service-linked role for reports.",
        calls=("iam:GetRole",),
        otherwise="`aws iam create-service-linked-role --aws-service-name reports.backup.amazonaws.com`, once",
        rests=("orchestration/constructs/backup.py",),
        ask=beforehand.service_linked_roles,
        where="once",
    ),
    Assumption(
        "lambda-concurrency",
        holds="Lambda's quota of concurrent executions suffices.",
        calls=("lambda:GetAccountSettings",),
        otherwise="ask for 200 or more in Service Quotas (`L-B99A9384`): the apply of the region's stack would fail",
        rests=("orchestration/specification/model.py",),
        ask=beforehand.concurrency,
    ),
    Assumption(
        "vpcs",
        holds="There is room for one VPC.",
        calls=("ec2:DescribeVpcs", "servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota"),
        otherwise="ask for more in Service Quotas (`L-F678F1CE`), or remove what is not needed",
        rests=("orchestration/constructs/network.py",),
        ask=beforehand.vpcs,
    ),
    Assumption(
        "engine",
        holds="The engine's version is offered for a global database.",
        calls=("rds:DescribeDBEngineVersions",),
        otherwise="choose an `engine_version` that both regions offer",
        rests=("orchestration/constructs/database.py",),
        ask=database.engine,
    ),
    Assumption(
        "reserved-connections-parameter",
        holds="A cluster's parameter group may set `reserved_connections`.",
        calls=("rds:DescribeEngineDefaultClusterParameters",),
        otherwise="set `reserved_connections = 0` under `[database]`: the apply of the region's stack would fail",
        rests=("docs/deploy.md",),
        ask=database.reserved_connections,
    ),
)
OF_A_NEW_DATABASE: tuple[Assumption, ...] = (
    Assumption(
        "rds-quotas",
        holds="There is room for one cluster and two instances.",
        calls=("rds:DescribeAccountAttributes",),
        otherwise="ask for more in Service Quotas, or remove what is not needed",
        rests=("orchestration/constructs/database.py",),
        ask=beforehand.rds_quotas,
    ),
    Assumption(
        "instance-class",
        holds="Serverless v2 instances of that version can be ordered in two zones.",
        calls=("rds:DescribeOrderableDBInstanceOptions",),
        otherwise="choose another `engine_version`, or another region",
        rests=("orchestration/constructs/database.py",),
        ask=beforehand.instance_class,
    ),
)
OF_WHAT_EXISTS = Assumption(
    "existing",
    holds="What `[existing]` names can be adopted, and is as the settings say.",
    calls=found.CALLS,
    otherwise="see to it, or have `failoverctl adopt` write `[existing]` anew; nothing is changed before",
    rests=("docs/adopt.md", "orchestration/existing.py"),
    ask=beforehand.adoptable,
    where="once",
)
OF_ONE_THAT_EXISTS: tuple[Assumption, ...] = (
    Assumption(
        "instance-classes",
        holds="The classes of its instances can be ordered in two zones, so that a re-protection can build them anew.",
        calls=("rds:DescribeDBInstances", "rds:DescribeOrderableDBInstanceOptions"),
        otherwise="change the instances to another class, or have capacity reserved where it is scarce",
        rests=("handlers/reprotect/build_standby.py",),
        ask=database.instance_classes,
    ),
)
OF_HOOKS = Assumption(
    "hooks",
    holds="What the hooks start is there in both regions, and a document takes what it is given.",
    calls=("lambda:GetFunctionConfiguration", "states:DescribeStateMachine", "ssm:DescribeDocument", "iam:GetRole"),
    otherwise="make it, or correct `[[hooks]]` (docs/events.md): otherwise a failover finds it missing",
    rests=("docs/events.md", "handlers/standing/run_hooks.py"),
    ask=beforehand.hooks,
)
OF_APPLICATION_ALARMS = Assumption(
    "application-alarms",
    holds="The alarms of the application are there in both regions.",
    calls=("cloudwatch:DescribeAlarms",),
    otherwise="make them, or correct `application_alarms`: without them, no application is called well",
    rests=("docs/events.md", "handlers/standing/watch_application.py"),
    ask=beforehand.application_alarms,
)
SENTENCES: dict[Level, str] = {
    "ok": "The account has what the deployment needs.",
    "warning": "The account has what the deployment needs; there is something to see to.",
    "failing": "Do not deploy yet: something is missing.",
    "cannot tell": "Cannot tell whether the account has what the deployment needs.",
}


def needed(settings: Settings) -> tuple[Assumption, ...]:
    """Returns what has to be there for a deployment with these settings, around a new database or an adopted one."""
    # All of a database that exists, and its link and zone, are in its VPCs.
    in_a_vpc = any(there.vpc_id for there in settings.existing.both.values())
    return (
        *ALWAYS,
        *([OF_WHAT_EXISTS] if in_a_vpc else []),
        *(OF_ONE_THAT_EXISTS if settings.adopts else OF_A_NEW_DATABASE),
        *([OF_HOOKS] if settings.hooks else []),
        *([OF_APPLICATION_ALARMS] if settings.application_alarms else []),
    )


def preflight(session: Session, *, page: PageFile = None) -> int | None:
    """Say before the first deployment what is missing for it: 0 nothing, 1 something, 2 cannot tell."""
    if session.chosen.lab:
        raise Refused("a lab is not deployed; ask without --lab, with the credentials of an AWS account")
    account = Account(session.deployment)
    _ = account.names  # says what is wrong with the credentials, before anything is asked
    table = needed(account.settings)
    findings = ask_all(account, table)
    answer = verdict(findings)
    show(session, answer, SENTENCES[answer], findings)
    session.tell({"answer": answer, "sentence": SENTENCES[answer], "findings": findings})
    if page is not None:
        write_page(session, page, answer, SENTENCES[answer], findings, {each.name: each.holds for each in table})
    return EXIT_CODES[answer]
