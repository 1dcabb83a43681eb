"""The experiment of AWS FIS that cuts the database of one region off, and its log."""

from __future__ import annotations

import json

from cdktf import Fn, Precondition, TerraformResourceLifecycle, Token
from cdktf_cdktf_provider_aws.cloudwatch_log_group import CloudwatchLogGroup
from cdktf_cdktf_provider_aws.data_aws_db_subnet_group import DataAwsDbSubnetGroup
from cdktf_cdktf_provider_aws.fis_experiment_template import (
    FisExperimentTemplate,
    FisExperimentTemplateAction,
    FisExperimentTemplateActionParameter,
    FisExperimentTemplateActionTarget,
    FisExperimentTemplateExperimentOptions,
    FisExperimentTemplateLogConfiguration,
    FisExperimentTemplateLogConfigurationCloudwatchLogsConfiguration,
    FisExperimentTemplateStopCondition,
    FisExperimentTemplateTarget,
)
from constructs import Construct

from orchestration.constructs.keys import RegionKey
from orchestration.constructs.network import Network
from orchestration.settings import MOST_SUBNETS_CUT_OFF
from orchestration.specification import Specification
from orchestration.specification.game_day import ACTION, SCOPE
from orchestration.specification.model import Experiment

CUT, TARGET = "cut-off", "database-subnets"
LOG_SCHEMA = 2  # FIS guide, "Experiment logging": the current one


class GameDay(Construct):
    """Idle until somebody starts it: nothing here does."""

    def __init__(
        self,
        scope: Construct,
        specification: Specification,
        region: str,
        experiment: Experiment,
        network: Network,
        key: RegionKey,
    ) -> None:
        super().__init__(scope, "game-day")
        self._existing = specification.settings.existing_in(region)
        log = CloudwatchLogGroup(
            self,
            "log",
            name=experiment.log_group,
            retention_in_days=specification.settings.log_retention_days,
            kms_key_id=key.arn,
        )
        name = self._existing.subnet_group  # of a cluster that exists
        group = DataAwsDbSubnetGroup(self, "subnets", name=name) if name else None
        subnets = group.subnet_ids if group else network.database_subnet_ids
        FisExperimentTemplate(
            self,
            "experiment",
            description=experiment.description,
            role_arn=specification.names.role_arn(experiment.name),
            action=[
                FisExperimentTemplateAction(
                    name=CUT,
                    action_id=ACTION,
                    parameter=[
                        FisExperimentTemplateActionParameter(key="duration", value=f"PT{experiment.minutes}M"),
                        FisExperimentTemplateActionParameter(key="scope", value=SCOPE),
                    ],
                    target=FisExperimentTemplateActionTarget(key="Subnets", value=TARGET),
                )
            ],
            target=[
                FisExperimentTemplateTarget(
                    name=TARGET,
                    resource_type="aws:ec2:subnet",
                    selection_mode="ALL",
                    resource_arns=Token.as_list(
                        Fn.formatlist(specification.names.arn("ec2", region, "subnet/%s"), [subnets])
                    ),
                )
            ],
            stop_condition=[
                FisExperimentTemplateStopCondition(source="aws:cloudwatch:alarm", value=alarm)
                for alarm in experiment.stop_alarms
            ],
            experiment_options=FisExperimentTemplateExperimentOptions(
                account_targeting="single-account", empty_target_resolution_mode="fail"
            ),
            log_configuration=FisExperimentTemplateLogConfiguration(
                log_schema_version=LOG_SCHEMA,
                cloudwatch_logs_configuration=FisExperimentTemplateLogConfigurationCloudwatchLogsConfiguration(
                    log_group_arn=f"{log.arn}:*"
                ),
            ),
            tags={"Name": experiment.name},
            lifecycle=TerraformResourceLifecycle(precondition=self._fits(group)) if group else None,
        )

    def _fits(self, group: DataAwsDbSubnetGroup) -> list[Precondition]:
        """Returns what has to be true of the subnets of a cluster that exists."""
        name, subnets = self._existing.subnet_group, f"{group.fqn}.subnet_ids"
        probers = json.dumps(list(self._existing.function_subnet_ids))
        return [
            Precondition(
                condition=f"${{length({subnets}) <= {MOST_SUBNETS_CUT_OFF}}}",
                error_message=f"The subnet group {name} has more than {MOST_SUBNETS_CUT_OFF} subnets, the "
                "most that one experiment cuts off. Leave game_day out.",
            ),
            Precondition(
                condition=f"${{length(setintersection({subnets}, {probers})) == 0}}",
                error_message=f"The prober is in subnets of the subnet group {name}. Inside a subnet nothing is cut "
                "off, so it would still find the writer: give function_subnet_ids of its own, or leave game_day out.",
            ),
        ]
