"""Everything about AWS that the product rests on and nobody of this project has seen: one row each.

``failoverctl verify`` asks them; ``python -m failoverctl.assumptions`` writes docs/assumptions.md.
"""

from __future__ import annotations

from failoverctl.asks import around, control, database, functions, moves
from failoverctl.assumption import Assumption, of_ready
from orchestration.settings import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "assumptions.md"
ASK_READINESS = ("lambda:InvokeFunction",)
GAME_DAY = "a game day: `failoverctl gameday --run`"
OF_RUNS = ("states:ListExecutions", "states:DescribeExecution")

ASSUMPTIONS: tuple[Assumption, ...] = (
    # --- the database
    Assumption(
        "engine",
        holds="The engine's version is offered in both regions, for a global database.",
        calls=("rds:DescribeDBEngineVersions",),
        otherwise="an apply fails, and a re-protection cannot build a standby: choose an `engine_version` that both "
        "regions offer",
        rests=("orchestration/constructs/database.py", "handlers/reprotect/build_standby.py"),
        ask=database.engine,
        lab="Aurora",
    ),
    Assumption(
        "instance-classes",
        holds="The classes of the instances can be ordered for that version, in two zones of each region.",
        calls=("rds:DescribeDBInstances", "rds:DescribeOrderableDBInstanceOptions"),
        otherwise="a re-protection cannot build a standby: choose another class, and have capacity reserved where it "
        "is scarce",
        rests=("orchestration/constructs/database.py", "handlers/reprotect/build_standby.py"),
        ask=database.instance_classes,
        lab="Aurora",
    ),
    Assumption(
        "reserved-connections-parameter",
        holds="A cluster's parameter group may set `reserved_connections`.",
        calls=("rds:DescribeEngineDefaultClusterParameters",),
        otherwise="the apply of the region's stack fails: set `reserved_connections = 0`; a database without a free "
        "connection can then be neither asked nor fenced by SQL",
        rests=("orchestration/constructs/database.py", "docs/deploy.md"),
        ask=database.reserved_connections,
        lab="Aurora",
    ),
    Assumption(
        "reserved-connections",
        holds="The monitor's user may use reserved connections: RDS's master user may grant it the role "
        "`pg_use_reserved_connections`.",
        calls=ASK_READINESS,
        otherwise="a database without a free connection can be neither asked nor fenced by SQL, only by its security "
        "group and a restart: keep the applications' pools below `max_connections`",
        rests=("handlers/sql/monitoring.sql", "docs/deploy.md"),
        ask=of_ready("connections"),
    ),
    Assumption(
        "membership",
        holds="RDS reports members and statuses of the global database in the words that the steps know.",
        calls=ASK_READINESS,
        otherwise="steps wait for a status that never comes: report what is shown, and do not rely on a failover",
        rests=("handlers/gateways/global_database.py", "handlers/failover/promote.py"),
        ask=of_ready("membership", "cluster"),
    ),
    Assumption(
        "endpoints",
        holds="A cluster always reports its reader endpoint, and its writer endpoint is the same without `-ro`, "
        "reported or not.",
        calls=("rds:DescribeDBClusters",),
        otherwise="the writer's name leads nowhere in one region: correct the record by hand and report it",
        rests=("orchestration/constructs/database.py", "handlers/standing/readiness.py"),
        ask=database.endpoints,
        lab="Aurora endpoints",
    ),
    Assumption(
        "instance-endpoints",
        holds="An instance's endpoint is its identifier, before what follows `.cluster-ro-` in the reader endpoint.",
        calls=("rds:DescribeDBClusters", "rds:DescribeDBInstances"),
        otherwise="`Promote` asks the cluster's endpoint instead: a promotion is seen when RDS publishes that",
        rests=("handlers/standing/prober.py",),
        ask=database.instance_endpoints,
        lab="Aurora endpoints",
    ),
    Assumption(
        "instance-login",
        holds="The certificate of an instance has the instance's endpoint, and an IAM token for that name logs in.",
        calls=ASK_READINESS,
        otherwise="`Promote` asks the cluster's endpoint, once RDS has shown the end of the promotion for 4 s",
        rests=("handlers/standing/prober.py", "handlers/failover/promote.py"),
        ask=database.instance_login,
        where="standby",
    ),
    Assumption(
        "endpoints-resolve",
        holds="Both endpoints of the writer's cluster and the reader endpoint of the standby's resolve; the standby's "
        "writer endpoint may not.",
        calls=("rds:DescribeDBClusters",),
        otherwise="clients by hosts fail at once in that region; by name they follow when it resolves, at most the "
        "zone's negative TTL later",
        rests=("orchestration/specification/dns.py", "docs/lab.md"),
        ask=database.names_resolve,
        lab="public DNS",
    ),
    Assumption(
        "data-api",
        holds="The Data API and login by IAM are on in both clusters, and stay on through a promotion.",
        calls=("rds:DescribeDBClusters",),
        otherwise="`failoverctl bootstrap` and `failoverctl break-glass` do not reach the database, or its monitors "
        "cannot log in: an apply turns them on",
        adopted="without the Data API `failoverctl bootstrap`, `break-glass` and `salvage replay` run no SQL, so use "
        "psql, as docs/adopt.md shows; without login by IAM no monitor logs in. Turn on in RDS what is off: no apply "
        "of ours does",
        rests=("handlers/standing/bootstrap_database.py", "failoverctl/break_glass.py"),
        ask=database.data_api,
        lab="Data API",
    ),
    Assumption(
        "login-trigger",
        holds="Aurora PostgreSQL 17 takes event triggers on login, and they are enabled.",
        calls=ASK_READINESS,
        otherwise="an old region that comes back is open until its guardian fences it, some seconds later",
        rests=("handlers/sql/monitoring.sql", "docs/guarantees.md"),
        ask=of_ready("fence"),
    ),
    Assumption(
        "standby-snapshot",
        holds="A standby says up to when it has the writer's commits (`pg_current_snapshot()` of an Aurora secondary).",
        calls=("lambda:InvokeFunction",),
        otherwise="the lag is unknown whenever a heartbeat is missing, so a person is asked more often",
        rests=("handlers/core/lag.py", "handlers/gateways/postgres.py"),
        ask=database.seen_commits,
        where="standby",
    ),
    Assumption(
        "replication",
        holds="The standby has the writer's heartbeats inside the RPO budget.",
        calls=ASK_READINESS,
        otherwise="a failover asks a person: see the alarm replication-lag",
        rests=("handlers/core/lag.py", "docs/guarantees.md"),
        ask=of_ready("replication"),
        where="standby",
    ),
    Assumption(
        "lag-metric",
        holds="Aurora publishes its replication lag in the standby's region, by cluster and source region.",
        calls=("cloudwatch:ListMetrics", "cloudwatch:GetMetricStatistics"),
        otherwise="the alarm replication-lag never rings, and `failoverctl status` shows no lag; nothing else reads it",
        rests=("orchestration/specification/monitoring.py", "failoverctl/status.py"),
        ask=database.lag_metric,
        where="standby",
    ),
    Assumption(
        "idle-capacity",
        holds="With the monitors' looks every 2 s, an idle cluster still goes down to its minimum of ACUs.",
        calls=("rds:DescribeDBClusters", "rds:DescribeDBInstances", "cloudwatch:GetMetricStatistics"),
        otherwise="it costs more than docs/cost.md says, in proportion",
        adopted="it was in use, or the monitors keep it up: compare an idle night with one before the adoption; "
        "docs/cost.md counts no capacity of an adopted database",
        rests=("orchestration/idle_cost.py", "docs/cost.md"),
        ask=database.idle_capacity,
        lab="ACUs",
    ),
    Assumption(
        "rds-answers",
        holds="RDS answers what a step asks it within the time that a step waits.",
        calls=("rds:DescribeGlobalClusters", "rds:DescribeDBClusters"),
        otherwise="steps need their retries, and a failover takes some seconds longer",
        rests=("handlers/gateways/aws.py", "docs/guarantees.md"),
        ask=database.time_to_answer,
    ),
    # --- the control record
    Assumption(
        "control-strong",
        holds="The control table is strongly consistent between both regions, with a witness in a third.",
        calls=("dynamodb:DescribeTable",),
        otherwise="two writers are possible: do not rely on the product before the `global` stack is applied as it is",
        rests=("orchestration/constructs/control.py", "docs/protocol/README.md"),
        ask=control.consistency,
        lab="description of a replicated table",
    ),
    Assumption(
        "control-read-anywhere",
        holds="What one region has written to the control record, the other one reads at once.",
        calls=("dynamodb:GetItem",),
        otherwise="two writers are possible: turn automatic failover off (`failoverctl pause`) and report it",
        rests=("handlers/gateways/control_table.py", "docs/protocol/README.md"),
        ask=control.read_anywhere,
        where="first",
    ),
    Assumption(
        "secret-replica",
        holds="The master user's secret is copied to the other region, under that region's key.",
        calls=("secretsmanager:DescribeSecret",),
        otherwise="after a failover, `failoverctl bootstrap` and `failoverctl break-glass` cannot log in: see "
        "docs/deploy.md",
        adopted="where a region has no secret with the password that is valid there, `failoverctl bootstrap` and "
        "`failoverctl break-glass` cannot log in while the writer is there: have Secrets Manager copy the secret, or "
        "change both together; without one use psql, as docs/adopt.md shows",
        rests=("orchestration/constructs/database.py", "docs/runbooks/password.md"),
        ask=control.secret,
        where="first",
        lab="Secrets Manager",
    ),
    # --- functions and what starts them
    Assumption(
        "concurrency",
        holds="Lambda's quota suffices, and what is reserved for each function is reserved.",
        calls=ASK_READINESS,
        otherwise="in an outage, other functions of the account take the failover's place: ask AWS for the quota",
        rests=("orchestration/specification/model.py", "docs/deploy.md"),
        ask=of_ready("concurrency"),
        lab="Lambda reservations",
    ),
    Assumption(
        "permissions",
        holds="Every role may do what it is granted, whatever boundaries and policies the organization has.",
        calls=("iam:SimulatePrincipalPolicy",),
        otherwise="a step fails when it is needed: have the boundary or the organization's policy allow it",
        rests=("orchestration/specification/policies.py", "docs/permissions.md"),
        ask=functions.granted,
        lab="IAM",
    ),
    Assumption(
        "trust",
        holds="The roles in which one region acts on the other trust the functions that take them on.",
        calls=("iam:GetRole",),
        otherwise="a switchover and a re-protection fail at their first step: apply the `identity` stack",
        rests=("orchestration/specification/roles.py",),
        ask=functions.trusted,
        lab="IAM",
    ),
    Assumption(
        "switch-by-url-only",
        holds="Everybody may call the writer switch by its URL, and nobody may invoke it otherwise.",
        calls=("lambda:GetPolicy", "lambda:GetFunctionUrlConfig"),
        otherwise="open to all: anybody with an AWS account can use up its concurrency. No answer: health checkers get "
        "none either, and the writer's name stays at PRIMARY",
        rests=("orchestration/constructs/orchestrator.py", "docs/deploy.md"),
        ask=functions.only_by_url,
        lab="function URLs",
    ),
    Assumption(
        "monitors-without-gaps",
        holds="EventBridge starts each monitor every minute, late by some seconds at most.",
        calls=("cloudwatch:GetMetricStatistics",),
        otherwise="a guardian that is not started renews no lease, and fences a healthy database: see the alarm "
        "monitor-silent",
        rests=("orchestration/specification/standing.py", "handlers/standing/monitor.py"),
        ask=functions.without_gaps,
        lab="Lambda metrics",
    ),
    Assumption(
        "alarms",
        holds="CloudWatch evaluates every alarm: those on other services' metrics find them under the names that they "
        "were made for.",
        calls=("cloudwatch:DescribeAlarms",),
        otherwise="what it watches goes unnoticed: look at the metric by its name and dimensions, and report it",
        rests=("orchestration/specification/monitoring.py",),
        ask=functions.alarms,
        lab="alarms of AWS's own metrics",
    ),
    Assumption(
        "rules",
        holds="EventBridge has every rule of the deployment, hooks' too, enabled and with the pattern or the schedule "
        "that was meant.",
        calls=("events:DescribeRule",),
        otherwise="what the rule starts does not happen by itself: apply the region's stack. Without those that start "
        "the workflow, a failover's first attempt does not start by the bus; the monitor's own attempts go on",
        rests=("orchestration/specification/monitoring.py",),
        ask=functions.rules,
        lab="EventBridge API",
    ),
    # --- DNS and backups
    Assumption(
        "writer-name",
        holds="The writer's name leads to the writer from inside both VPCs.",
        calls=ASK_READINESS,
        otherwise="clients by name do not find the writer: see the zone and the checks in Route 53",
        rests=("orchestration/specification/dns.py", "docs/architecture.md"),
        ask=of_ready("name"),
    ),
    Assumption(
        "health-checkers",
        holds="Route 53's checkers reach both writer switches and all see the same.",
        calls=(
            "route53:ListHostedZonesByName",
            "route53:ListResourceRecordSets",
            "route53:GetHealthCheck",
            "route53:GetHealthCheckStatus",
        ),
        otherwise="the writer's name follows late or not at all; where the checkers cannot reach a switch, see its log "
        "and its concurrency",
        rests=("orchestration/specification/dns.py", "handlers/standing/writer_switch.py"),
        ask=around.health_checkers,
        where="once",
        lab="Route 53 API",
    ),
    Assumption(
        "backup-jobs",
        holds="AWS Backup makes its daily backup of a member of a global database, in the role that it is given.",
        calls=("backup:ListBackupJobs",),
        otherwise="only Aurora's own point-in-time recovery is left, which dies with the cluster: see the job's "
        "message",
        rests=("orchestration/constructs/backup.py", "orchestration/specification/policies.py"),
        ask=around.backup_jobs,
        lab="AWS Backup",
    ),
    Assumption(
        "copy-jobs",
        holds="AWS Backup copies the first region's backups into the other region's vault, under that region's key.",
        calls=("backup:ListCopyJobs",),
        otherwise="backups do not outlive their region: see the job's message",
        rests=("orchestration/constructs/backup.py", "docs/cost.md"),
        ask=around.copy_jobs,
        where="first",
        lab="AWS Backup",
    ),
    Assumption(
        "report-jobs",
        holds="AWS Backup delivers its reports: the bucket's policy is enough for its service-linked role.",
        calls=("backup:ListReportJobs",),
        otherwise="there is no evidence for an audit, and no other harm: see the job's message",
        rests=("orchestration/constructs/backup.py",),
        ask=around.report_jobs,
        lab="AWS Backup",
    ),
    # --- what only an experiment shows, or the runs that there have been
    Assumption(
        "promotion-time",
        holds="A detached standby takes writes within half a minute, and at all.",
        calls=OF_RUNS,
        otherwise="the RTO is longer by what it takes longer; `Promote` looks again for as long as the run may last",
        rests=("orchestration/measured.py", "docs/guarantees.md"),
        ask=moves.promotion,
        where="once",
        experiment="an outage, with a re-protection after it: `failoverctl verify --with-failover`",
    ),
    Assumption(
        "switchover-time",
        holds="A switchover ends within two minutes, or RDS says that it was cancelled.",
        calls=OF_RUNS,
        otherwise="applications wait for longer; a switchover of which RDS shows nothing is given back after 60 s",
        rests=("handlers/failover/switch_over.py", "drills/troubles.py"),
        ask=moves.switchover,
        where="once",
        experiment="a switchover and a failback: `failoverctl verify --with-switchover`",
    ),
    Assumption(
        "trigger",
        holds="An alarm's change of state reaches the bus, and the bus the workflow, within seconds.",
        calls=OF_RUNS,
        otherwise="the monitor's own event and its own attempts start the failover all the same",
        rests=("orchestration/specification/monitoring.py",),
        ask=moves.trigger,
        where="once",
        experiment='an alarm that rings while `trigger_mode = "rehearsal"`: `failoverctl verify --with-trigger`',
    ),
    Assumption(
        "fence",
        holds="A login trigger refuses an application's login, and a lift by the guardian follows within seconds.",
        calls=(),
        otherwise="the fence rests on the security group alone",
        rests=("handlers/sql/monitoring.sql", "handlers/standing/fence.py"),
        experiment="a fence, and logins as an application behind it: `failoverctl verify --with-fence URL`",
    ),
    Assumption(
        "security-group",
        holds="A cluster takes another security group at once, and new connections are kept out within a minute.",
        calls=(),
        otherwise="the fence rests on SQL alone until then; after a lift, the guardian looks again for longer",
        rests=("handlers/core/guardian_state.py", "handlers/standing/fence.py"),
        experiment="the same by the security group: `failoverctl verify --with-fence URL`",
    ),
    Assumption(
        "restart-time",
        holds="RDS begins a restart that it has accepted within 4 s.",
        calls=(),
        otherwise="where SQL cannot fence, sessions that are open write for that much longer (a limit of P1)",
        rests=("handlers/standing/fence.py", "docs/guarantees.md"),
        experiment="a fence of a database that refuses every login",
    ),
    Assumption(
        "permissions-demanded",
        holds="RDS and KMS demand of a caller no more than the reference says: for a rebuilt secondary with its "
        "presigned request, and for Performance Insights with a customer's key.",
        calls=(),
        otherwise="a re-protection stops at the step and says which action; add it to the role, and resume the run",
        rests=("orchestration/specification/roles.py", "orchestration/authorization.py"),
        experiment="a failover, and a re-protection after it",
    ),
    Assumption(
        "backup-events",
        holds="AWS Backup says by an event that a job failed, with its state in capitals and the name of the vault.",
        calls=(),
        otherwise="nobody is told before `failoverctl ready` finds the newest backup too old",
        rests=("orchestration/specification/monitoring.py",),
        experiment="a backup job that is stopped by hand: ABORTED reaches the topic",
    ),
    Assumption(
        "hooks",
        holds="Systems Manager starts a document for who may start it by its `document/` or its "
        "`automation-definition/…:$DEFAULT` ARN, in a role that is passed to `ssm.amazonaws.com`, and once for a "
        "`ClientToken` that comes twice.",
        calls=(),
        otherwise="people are told that the hook failed and which action was refused, and nothing else stops: do by "
        "hand what it does, or start it by a function or a state machine; where a token is taken twice, a runbook has "
        "to bear two starts",
        rests=("handlers/gateways/hooks.py", "orchestration/specification/standing.py"),
        experiment="the first start of each hook that is a document: a switchover, or an event of a test's own",
    ),
    Assumption(
        "provider",
        holds="The AWS provider 6.x applies what only newer ones know: the control table's witness and strong "
        "consistency, and `invoked_via_function_url`.",
        calls=(),
        otherwise="the apply of `global` or of a region's stack stops there: report it; with an older provider the "
        "table is eventually consistent, and two writers are possible",
        rests=("orchestration/stacks/base.py", "orchestration/constructs/control.py"),
        experiment="the first `failoverctl deploy`. So far planned and applied with 5.100.0, without those attributes; "
        "and validated and planned with them against a schema made from CDKTF's bindings, which knows names, types and "
        "what is required, but no values, no arguments that exclude each other and no rules of replacement",
    ),
    Assumption(
        "bill",
        holds="An idle deployment costs what docs/cost.md says.",
        calls=(),
        otherwise="see which service costs more than its row, in Cost Explorer, by the tag `EnvironmentSuffix`",
        rests=("orchestration/idle_cost.py", "docs/cost.md"),
        experiment="the bill of the first whole month",
    ),
    Assumption(
        "zone-soa",
        holds="A plan after the apply leaves the zone's SOA record alone, and a destroy removes the zone with it.",
        calls=(),
        otherwise="a plan that never becomes empty is harmless; a destroy that stops at the record: take it out of "
        "Terraform's state, then again",
        rests=("orchestration/constructs/dns.py",),
        experiment="`failoverctl ready --drift`, and the destruction of a test deployment",
    ),
    Assumption(
        "game-day",
        holds="AWS FIS cuts subnets off within three minutes of its start, open sessions too, and gives them their "
        "network ACLs back at the end.",
        calls=(),
        otherwise="`failoverctl gameday` stops the experiment and says so, and says loudly where it does not know "
        "whether the cut is over; nothing else rests on it",
        rests=("failoverctl/gameday.py", "docs/gameday.md"),
        experiment=GAME_DAY,
    ),
    Assumption(
        "game-day-rights",
        holds="IAM compares as the service authorization reference says: `fis:StartExperiment` with the template's tag "
        "`Name` and with the tags of the request, `ec2:ReplaceNetworkAclAssociation` with the subnets' names or their "
        "VPC. An account's first experiment makes the role `AWSServiceRoleForFIS` in the name of whoever starts it, "
        "and for the scope `all` FIS reads no more than it may, prefix lists too.",
        calls=(),
        otherwise="the start is refused, with AWS's words, or the experiment fails before it has cut anything off; "
        "nothing else rests on it",
        rests=("orchestration/specification/game_day.py", "docs/gameday.md"),
        experiment=GAME_DAY,
    ),
    Assumption(
        "game-day-alarms",
        holds="A stop alarm that begins to ring ends an experiment. Whether one that rings already does is not relied "
        "on: no experiment is started then.",
        calls=(),
        otherwise="the cut goes on until the writer has moved, or for the `minutes` of the settings: end it with "
        "`failoverctl gameday --stop`",
        rests=("orchestration/specification/game_day.py", "docs/gameday.md"),
        experiment=GAME_DAY,
    ),
    Assumption(
        "replica-without-quorum",
        holds="A replica of the control table that has lost the other two answers neither reads nor writes.",
        calls=(),
        otherwise="a stale read is possible; a conditional write behind it still fails, and nothing moves by it",
        rests=("drills/aws/replicated_table.py", "docs/protocol/README.md"),
        experiment="a region cut off from the others (AWS FIS)",
    ),
)


def document() -> str:
    """Returns docs/assumptions.md."""
    return INTRODUCTION + "".join(map(_row, ASSUMPTIONS))


def _row(assumption: Assumption) -> str:
    files = ", ".join(f"[{file.rsplit('/', 1)[-1]}](../{file})" for file in assumption.rests)
    false = f"{assumption.otherwise[0].upper()}{assumption.otherwise[1:]}"
    if assumption.adopted:
        false += f". Around an adopted database: {assumption.adopted}"
    return f"| `{assumption.name}` | {assumption.holds} | {_how(assumption)} | {false} | {files} |\n"


def _how(assumption: Assumption) -> str:
    if assumption.ask is None:
        return f"not by asking: {assumption.experiment}"
    if assumption.experiment:
        calls = ", ".join(f"`{call}`" for call in assumption.calls)
        return f"{calls}, of the last runs; where there was none: {assumption.experiment}"
    where = {
        "each": "in each region",
        "standby": "in the standby's region",
        "first": "in the first writer's region",
        "once": "once",
    }[assumption.where]
    calls = ", ".join(f"`{call}`" for call in assumption.calls)
    return f"{calls}, {where}{'' if assumption.lab else '; on a lab, too'}"


INTRODUCTION = """# What is assumed of AWS

No AWS account has seen the product yet. This is everything about AWS that it rests on and that is unproven, one row
each; there is no other list. The table is [in the code](../failoverctl/assumptions.py), and `python -m
failoverctl.assumptions` writes this page. `failoverctl verify` asks each row in your account, in the first hour after
the deployment ([how](failoverctl.md#does-aws-do-what-is-assumed)): by reads, or by an experiment that you ask it for;
or it says what would show it.

The lab, the emulator and the models prove none of it: they behave as AWS is described, which is what the rows are
about. On a lab `verify` asks the rows that say so below; the others end as "cannot tell here".

| assumption | what has to hold | how it is asked | where it is false | rests on it |
|---|---|---|---|---|
"""


if __name__ == "__main__":
    PAGE.write_text(document(), encoding="utf-8")
