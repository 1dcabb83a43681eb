"""What every stack has: the provider, the account, common tags and a state of its own."""

from __future__ import annotations

import os
from pathlib import Path

from cdktf import App, LocalBackend, S3Backend, TerraformOutput, TerraformStack
from cdktf_cdktf_provider_aws.data_aws_caller_identity import DataAwsCallerIdentity
from cdktf_cdktf_provider_aws.provider import AwsProvider, AwsProviderDefaultTags
from constructs import Construct

from orchestration.settings import PROJECT_ROOT, Settings
from orchestration.specification import Specification, describe

# Write-only arguments, which keep the master password out of the state, came with this version.
TERRAFORM_VERSION = ">= 1.11"
# The condition `lambda:InvokedViaFunctionUrl` came with 6.29 (terraform-provider-aws#44829). The bindings, the last
# there are, were made from 6.25 and would ask for that.
PROVIDER_VERSION = ">= 6.29, < 7.0"
LOCAL_STATE_FOLDER = PROJECT_ROOT / "state"


class DeploymentStack(TerraformStack):
    """A stack of one failure domain, managed through ``region``."""

    def __init__(self, scope: Construct, name: str, settings: Settings, region: str) -> None:
        super().__init__(scope, name)
        self._settings = settings
        self.provider = self._provider("aws", region)
        self.add_override("terraform.required_version", TERRAFORM_VERSION)
        self.add_override("terraform.required_providers.aws.version", PROVIDER_VERSION)
        account = DataAwsCallerIdentity(self, "current").account_id
        self.specification: Specification = describe(settings, account)
        self._state(name)

    def _provider(self, id_: str, region: str, alias: str | None = None) -> AwsProvider:
        tags = {
            "Application": self._settings.application,
            "Environment": self._settings.environment,
            "EnvironmentSuffix": self._settings.environment_suffix,
            "ManagedBy": "cdktf",
        }
        return AwsProvider(self, id_, region=region, alias=alias, default_tags=[AwsProviderDefaultTags(tags=tags)])

    def _output(self, name: str, value: str | list[str], description: str) -> None:
        """Adds an output under exactly that name, for whoever builds on the deployment."""
        TerraformOutput(self, f"output-{name}", value=value, description=description).override_logical_id(name)

    def _state(self, name: str) -> None:
        """Gives each stack of each deployment its own state: in the bucket from the settings, or beside the project."""
        state, suffix = self._settings.state, self._settings.environment_suffix
        if state.bucket and state.region:
            S3Backend(
                self,
                bucket=state.bucket,
                region=state.region,
                key=f"{self._settings.application}/{suffix}/{name}.tfstate",
                encrypt=True,
            )
            # Terraform's own lock file in the bucket; newer than CDKTF.
            self.add_override("terraform.backend.s3.use_lockfile", True)
            return
        # Outside what ``make clean`` removes.
        file = LOCAL_STATE_FOLDER / suffix / f"{name}.tfstate"
        working_folder = Path(App.of(self).outdir).resolve() / "stacks" / name  # where Terraform runs
        LocalBackend(self, path=os.path.relpath(file, working_folder))
