"""What every stack has: the provider, the account, common tags and a state of its own."""

from __future__ import annotations

import os
from pathlib import Path

from cdktf import App, LocalBackend, TerraformStack
from cdktf_cdktf_provider_aws.data_aws_caller_identity import DataAwsCallerIdentity
from cdktf_cdktf_provider_aws.provider import AwsProvider, AwsProviderDefaultTags
from constructs import Construct

from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.specification import Specification, describe

# Write-only arguments, which keep the master password out of the state, came with this version.
TERRAFORM_VERSION = ">= 1.11"
LOCAL_STATE_FOLDER = PROJECT_ROOT / "state"


class DeploymentStack(TerraformStack):
    """A stack of one failure domain, managed through ``region``."""

    def __init__(self, scope: Construct, name: str, settings: Settings, region: str) -> None:
        super().__init__(scope, name)
        self._settings = settings
        self.provider = self._provider("aws", region)
        self.add_override("terraform.required_version", TERRAFORM_VERSION)
        account = DataAwsCallerIdentity(self, "current").account_id
        self.specification: Specification = describe(settings, account)
        self._local_state(name)

    def _provider(self, id_: str, region: str, alias: str | None = None) -> AwsProvider:
        tags = {
            "Application": self._settings.application,
            "Environment": self._settings.environment,
            "EnvironmentSuffix": self._settings.environment_suffix,
            "ManagedBy": "cdktf",
        }
        return AwsProvider(self, id_, region=region, alias=alias, default_tags=[AwsProviderDefaultTags(tags=tags)])

    def _local_state(self, name: str) -> None:
        """State beside the project, one file for each stack of each deployment, outside what ``make clean`` removes."""
        state = LOCAL_STATE_FOLDER / self._settings.environment_suffix / f"{name}.tfstate"
        app = App.of(self)
        working_folder = Path(app.outdir).resolve() / "stacks" / name  # where Terraform runs
        LocalBackend(self, path=os.path.relpath(state, working_folder))
