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
        sessions = Sessions(self, self.specification, providers, home=settings.standby_region)
        control = Control(self, self.specification, home=settings.standby_region)
        dns = Dns(self, self.specification, providers, peering.vpcs, control.record)
        self._output("writer_name", self.specification.zone.writer_name, "The DNS name that clients write to.")
        self._output("zone_name", dns.zone.name, "Name of the private zone, which both VPCs see.")
        self._output("zone_id", dns.zone.zone_id, "Id of the private zone, for associating further VPCs.")
        self._output("control_table_name", control.table.name, "Table of the record of who may write, in both regions.")
        self._output("session_table_name", sessions.table.name, "The application's table of sessions, in both regions.")
