"""What spans both regions: the link between them, the names, the sessions, and the record of who may write."""

from __future__ import annotations

from constructs import Construct

from orchestration.constructs.control import Control
from orchestration.constructs.dns import Dns
from orchestration.constructs.peering import Peering
from orchestration.constructs.sessions import Sessions
from orchestration.settings import Settings
from orchestration.stacks.base import DeploymentStack

NAME = "global"


class GlobalStack(DeploymentStack):
    """Deployed last: without the control record no orchestrator moves anything.

    It is managed through the standby region and looks the regions' resources up by name.
    """

    def __init__(self, scope: Construct, settings: Settings) -> None:
        super().__init__(scope, NAME, settings, region=settings.standby_region)
        providers = {
            settings.standby_region: self.provider,
            settings.writer_region: self._provider("aws-writer", settings.writer_region, alias="writer"),
        }
        peering = Peering(self, self.specification, providers)
        Dns(self, self.specification, providers, peering.vpcs)
        Sessions(self, self.specification, providers, home=settings.standby_region)
        Control(self, self.specification, home=settings.standby_region)
