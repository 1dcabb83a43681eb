"""What people may do with ``failoverctl``: one policy for those who look, one for those who act, and nothing more.

They are managed policies, for an organization to attach to the roles that its people have. A test compares what the
verbs ask of AWS with what is granted here, in both directions.
"""

from __future__ import annotations

from handlers.core.message import execution_arn
from orchestration.specification.model import Permission, Policy
from orchestration.specification.names import PARTITION, Names


def policies(names: Names) -> tuple[Policy, ...]:
    """Returns the policies of readers, of operators, who may do what readers may, and of who may break the glass.

    And, where the settings ask for game days, of who may hold one.
    """
    reading = _reading(names)
    game_day = Policy(
        names.policy("gameday"),
        "failoverctl gameday: has AWS FIS cut the writer's database off, and ends that; beside operators",
        _holding_a_game_day(names),
    )
    return (
        Policy(names.policy("readers"), "failoverctl: looks at the writer, its runs and what was salvaged", reading),
        Policy(
            names.policy("operators"),
            "failoverctl: starts, stops and answers runs that move the writer",
            (*reading, *_acting(names)),
        ),
        Policy(
            names.policy("breakglass"),
            "failoverctl break-glass: fails over without Step Functions and Lambda; for emergencies, beside operators",
            _breaking(names),
        ),
        *((game_day,) if names.settings.game_day.enabled else ()),
    )


def _reading(names: Names) -> tuple[Permission, ...]:
    regions = names.settings.regions
    machines = _machines(names)
    return (
        Permission(
            ("dynamodb:GetItem",),
            (*_control(names), *(names.arn("dynamodb", each, f"table/{names.runs_table(each)}") for each in regions)),
            "reads the control record and the records of runs",
        ),
        Permission(("states:ListExecutions",), machines, "lists the runs"),
        Permission(
            ("states:DescribeExecution", "states:GetExecutionHistory"),
            tuple(execution_arn(arn, "*") for arn in machines),
            "reads how far a run is",
        ),
        *_everywhere_in(
            names,
            ("cloudwatch:GetMetricStatistics",),
            "reads Aurora's replication lag; CloudWatch has no resource-level permission for it",
        ),
        Permission(
            ("lambda:InvokeFunction",),
            tuple(names.function_arn("readiness", each) for each in regions),
            "asks whether a failover would work; the function reads nothing of who asks but that he wants to know",
        ),
        Permission(
            ("s3:ListBucket",),
            tuple(bucket for each in regions for bucket in (_bucket(names, each), _reports(names, each))),
            "lists what is kept; without that, S3 would not say that there is no report",
        ),
        Permission(
            ("s3:GetObject",),
            tuple(f"{_reports(names, each)}/runs/*" for each in regions),
            "reads the reports of runs",
        ),
        Permission(
            ("s3:GetObject",),
            tuple(f"{_bucket(names, each)}/epoch-*/salvage.json" for each in regions),
            "reads how much that is; the rows themselves are customers' data, and for operators",
        ),
        Permission(
            ("lambda:InvokeFunction",),
            tuple(names.function_arn("show_incident", each) for each in regions),
            "the dashboard asks it in the name of whoever looks; it only reads",
        ),
        *_decrypting(names),
    )


def _acting(names: Names) -> tuple[Permission, ...]:
    regions = names.settings.regions
    return (
        Permission(("dynamodb:UpdateItem",), _control(names), "asks the run at work to hold, abort or go on"),
        Permission(("states:StartExecution",), _machines(names), "starts runs"),
        *_everywhere_in(
            names,
            ("rds:DescribeDBClusters", "rds:DescribeGlobalClusters"),
            "sees whether anything has come of a run's request to RDS, before its lock is taken",
        ),
        *_everywhere_in(
            names,
            ("states:SendTaskFailure", "states:SendTaskSuccess"),
            "answers a run. Sources differ on whether IAM compares a state machine here, so none is named: an answer "
            "needs the run's token, which is in a history that only readers of these workflows may read",
        ),
        Permission(
            ("lambda:InvokeFunction",),
            tuple(names.function_arn("bootstrap_database", each) for each in regions),
            "prepares the database",
        ),
        Permission(
            ("lambda:InvokeFunction",),
            tuple(names.function_arn(function, each) for each in regions for function in ("prober", "fence")),
            "looks at a writer that is closed, and lets applications in as its guardian would",
        ),
        Permission(
            ("s3:GetObject",),
            tuple(f"{_bucket(names, each)}/epoch-*/salvage-*.sql" for each in regions),
            "reads the rows that never reached the new writer",
        ),
        Permission(
            ("rds-data:BeginTransaction", "rds-data:ExecuteStatement", "rds-data:RollbackTransaction"),
            tuple(names.cluster_arn(each) for each in regions),
            "writes them again over the Data API, as a user whose secret the person may read; this grants none",
        ),
    )


def _breaking(names: Names) -> tuple[Permission, ...]:
    regions = names.settings.regions
    return (
        Permission(
            ("dynamodb:GetItem", "dynamodb:UpdateItem"), _control(names), "reads and changes the control record"
        ),
        *_everywhere_in(
            names,
            ("rds:DescribeDBClusters", "rds:DescribeGlobalClusters"),
            "sees what RDS does with the clusters",
        ),
        *(
            Permission(
                ("rds:RemoveFromGlobalCluster",),
                (names.global_cluster_arn, names.cluster_arn(each)),
                "detaches the standby, as the workflow does",
                {"StringEquals": {"aws:RequestedRegion": each}},
            )
            for each in regions
        ),
        Permission(
            (
                "rds-data:BeginTransaction",
                "rds-data:CommitTransaction",
                "rds-data:ExecuteStatement",
                "rds-data:RollbackTransaction",
            ),
            tuple(names.cluster_arn(each) for each in regions),
            "lifts the fence that came with the data, and proves a write",
        ),
        Permission(
            ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
            tuple(names.secret_arn(names.master_secret, each) for each in regions),
            "logs in as the master user",
        ),
        *_decrypting(names),
    )


def _holding_a_game_day(names: Names) -> tuple[Permission, ...]:
    return (
        *_everywhere_in(
            names,
            ("fis:ListExperimentTemplates", "fis:ListExperiments"),
            "finds the experiment, which has an id of FIS's own, and sees whether it runs",
        ),
        *_everywhere_in(
            names,
            ("cloudwatch:DescribeAlarms", "ec2:DescribeNetworkInterfaces"),
            "sees the alarms that would end it, and what is in the subnets that it cuts off",
        ),
        *(permission for each in names.settings.regions for permission in _starting_it(names, each)),
        Permission(
            ("iam:CreateServiceLinkedRole",),
            (names.arn("iam", "", "role/aws-service-role/fis.amazonaws.com/AWSServiceRoleForFIS"),),
            "the first experiment of an account makes the role in which FIS looks at alarms and targets, in the name "
            "of whoever starts it",
            {"StringEquals": {"iam:AWSServiceName": "fis.amazonaws.com"}},
        ),
    )


def _starting_it(names: Names, region: str) -> tuple[Permission, ...]:
    """Returns the right to start and stop one region's experiment, and no other: by its name, which is a tag."""
    templates, experiments = (names.arn("fis", region, f"{kind}/*") for kind in ("experiment-template", "experiment"))
    name = names.game_day(region)
    return (
        Permission(
            ("fis:GetExperimentTemplate", "fis:StartExperiment"),
            (templates,),
            "reads and starts what was deployed",
            {"StringEquals": {"aws:ResourceTag/Name": name}},
        ),
        Permission(
            ("fis:StartExperiment", "fis:TagResource"),
            (experiments,),
            "what is started gets the template's name",
            {"StringEquals": {"aws:RequestTag/Name": name}},
        ),
        Permission(
            ("fis:GetExperiment", "fis:StopExperiment"),
            (experiments,),
            "follows it, and stops it",
            {"StringEquals": {"aws:ResourceTag/Name": name}},
        ),
    )


def _control(names: Names) -> tuple[str, ...]:
    return tuple(names.arn("dynamodb", each, f"table/{names.control_table}") for each in names.settings.regions)


def _bucket(names: Names, region: str) -> str:
    return f"arn:{PARTITION}:s3:::{names.salvage_bucket(region)}"


def _reports(names: Names, region: str) -> str:
    return f"arn:{PARTITION}:s3:::{names.reports_bucket(region)}"


def _machines(names: Names) -> tuple[str, ...]:
    return tuple(
        arn for each in names.settings.regions for arn in (names.state_machine_arn(each), names.reprotection_arn(each))
    )


def _decrypting(names: Names) -> tuple[Permission, ...]:
    """Returns the use of each region's key, with which the records of runs and the salvage are encrypted."""
    return tuple(
        Permission(
            ("kms:Decrypt",),
            (names.arn("kms", each, "key/*"),),
            "the records of runs and the salvage are encrypted with the region's key; the alias limits it to that key",
            {"ForAnyValue:StringEquals": {"kms:ResourceAliases": names.key_alias(each)}},
        )
        for each in names.settings.regions
    )


def _everywhere_in(names: Names, actions: tuple[str, ...], why: str) -> tuple[Permission, ...]:
    """Returns the permission for what names no resource, in the deployment's regions."""
    return tuple(
        Permission(actions, ("*",), why, {"StringEquals": {"aws:RequestedRegion": each}})
        for each in names.settings.regions
    )
