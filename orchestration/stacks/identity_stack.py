"""The roles of both regions, and the policies of the people who look after them.

IAM has one control plane for all regions, and it is in us-east-1. Kept here, the roles are not refreshed by the
regions' stacks, so a surviving region can be planned and applied while us-east-1 is dark.
"""

from __future__ import annotations

from constructs import Construct

from orchestration.constructs.identity import PeoplesPolicies, RegionRoles
from orchestration.settings import Settings
from orchestration.stacks.base import DeploymentStack

NAME = "identity"


class IdentityStack(DeploymentStack):
    """Deployed first: everything else runs as one of these roles."""

    def __init__(self, scope: Construct, settings: Settings) -> None:
        super().__init__(scope, NAME, settings, region=settings.standby_region)
        for region in self.specification.regions.values():
            RegionRoles(self, self.specification, region)
        PeoplesPolicies(self, self.specification)
