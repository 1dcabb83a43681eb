"""RetireOldCluster: removes the old cluster and its global database, once everything in it is kept.

It checks for itself that this is so, whatever the steps before it have said: the fence, the snapshot, the export, the
approval. From its first request to RDS on there is no way back, and the control record notes that.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import InvalidRequest, Misconfigured, RetirementForbidden, RetirementPending
from handlers.core.heartbeat import END_OF_TIME_S
from handlers.core.old_cluster import OldCluster
from handlers.core.reading import Fields
from handlers.core.reprotection import Order, Retirement, objections
from handlers.core.reprotection_results import Retired
from handlers.core.salvage import UNREAD
from handlers.gateways.acting import OtherRegion, RebuildRoleVariables, ReprotectionRoleVariables
from handlers.gateways.archive import SALVAGE_SUMMARY, Archive, ArchiveVariables
from handlers.gateways.clusters import Clusters, Description, members
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.fence import INVOCATION_TIMEOUT_S, FenceFunction, PeerFenceVariables
from handlers.gateways.salvage import SalvageFunction, SalvageVariables
from handlers.telemetry import instrumented, logger


class Environment(
    ControlVariables,
    ReprotectionRoleVariables,
    RebuildRoleVariables,
    PeerFenceVariables,
    ArchiveVariables,
    SalvageVariables,
):
    """What this step reads."""

    cluster_arn: str
    peer_cluster: str
    peer_cluster_arn: str


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
TO_LOOK = OtherRegion.for_reprotection(ENVIRONMENT)
TO_REBUILD = OtherRegion.for_rebuild(ENVIRONMENT)
HERE = Clusters.here(ENVIRONMENT)

DELETING = "deleting"


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection.Order`.

    Unless an earlier run has begun, it also reads ``approval``; see `Approval`.
    """
    order = Order.read(event)
    logger.append_keys(run=order.run)
    fields = Fields(event, "the step's event", InvalidRequest)
    approval = Approval.read(fields.section("approval")) if "approval" in fields.data else None
    site = Site(
        control=CONTROL,
        fence=FenceFunction.there(TO_LOOK, ENVIRONMENT, order.run, read_timeout_s=INVOCATION_TIMEOUT_S),
        salvage=SalvageFunction.there(TO_LOOK, ENVIRONMENT, order.run),
        kept=Clusters.there(TO_LOOK, ENVIRONMENT, order.run),
        there=Clusters.there(TO_REBUILD, ENVIRONMENT, order.run),
        here=HERE,
        archive=Archive.of(ENVIRONMENT, order.epoch),
        environment=ENVIRONMENT,
    )
    return asdict(site.retire(order, approval))


@dataclass(frozen=True)
class Approval:
    """Who agreed to the retirement; ``unseen``: with the order, before anything was exported."""

    approved_by: str
    unseen: bool

    @classmethod
    def read(cls, fields: Fields) -> Approval:
        """Reads a person's answer, or what stands for it."""
        return cls(fields.line("approved_by"), fields.flag("unseen", False))


@dataclass(frozen=True)
class Site:
    """Everything that retiring needs: ``kept`` looks, ``there`` removes in the old region, ``here`` in this one."""

    control: ControlTable
    fence: FenceFunction
    salvage: SalvageFunction
    kept: Clusters
    there: Clusters
    here: Clusters
    archive: Archive
    environment: Environment

    def retire(self, order: Order, approval: Approval | None) -> Retired:
        """Removes what is left of it.

        Raises
        ------
        RetirementForbidden
            something in the old cluster is not kept, or it is not fenced; nothing was touched.
        RetirementPending
            RDS is still working on it.
        LockLost
            another run re-protects.
        """
        old = self.archive.the_old_cluster()
        cluster = self.there.find(self.environment.peer_cluster)
        begun = self.control.read().retiring == old.resource_id
        if cluster is not None and cluster["DbClusterResourceId"] == old.resource_id:
            if reasons := objections(self._known(cluster, old, order, approval, look=not begun), begun=begun):
                raise RetirementForbidden("the old cluster must not be retired: " + "; ".join(reasons))
            self.control.begin_retirement(order.run, order.epoch, old.resource_id)
            self._remove(cluster)
            raise RetirementPending(f"{self.environment.peer_cluster} is being removed")
        if not begun:
            raise RetirementForbidden(
                f"the cluster that was kept ({old.resource_id}) is gone, and no run has retired it; find out who "
                "removed it, and whether its snapshot is complete"
            )
        self._remove_global(order)
        logger.info("the old cluster is retired", resource_id=old.resource_id)
        return Retired(old.resource_id, approval.approved_by if approval else None)

    def _known(
        self, cluster: Description, old: OldCluster, order: Order, approval: Approval | None, *, look: bool
    ) -> Retirement:
        """Returns what is known; with ``look``, also of the fence and of what it kept out, at this moment."""
        state = self.fence.look() if look else None
        mark = self.salvage.mark() if look else None
        found = self.here.find_global(self.environment.global_cluster) or {}
        salvaged_from, salvaged_at, unread = self._salvage()
        return Retirement(
            resource_id=cluster["DbClusterResourceId"],
            fenced_resource_id=old.resource_id,
            fenced_at=old.fenced_at,
            fenced_by_sql=state.by_sql if state else None,
            fenced_by_group=state.by_group if state else None,
            fenced_mark=old.mark,
            mark=mark,
            is_member_beside=tuple(
                arn.split(":")[3] for arn in members(found) if arn != self.environment.peer_cluster_arn
            ),
            snapshot=self.kept.find_snapshot(old.snapshot_name(order.epoch)),
            salvaged_resource_id=salvaged_from,
            salvaged_at=salvaged_at,
            unread=unread,
            approved_by=approval.approved_by if approval else None,
            approved_unseen=approval is not None and approval.unseen,
        )

    def _salvage(self) -> tuple[str | None, float | None, str]:
        """Returns which cluster the complete export is of, when it was made, and which tables it could not read."""
        summary = self.archive.read_json(SALVAGE_SUMMARY)
        if summary is None:
            return None, None, ""
        fields = Fields(summary, "the summary of the salvage", Misconfigured)
        if not fields.flag("done", False):
            return None, None, ""
        salvaged_at = fields.number("salvaged_at", at_least=0, at_most=END_OF_TIME_S)
        return fields.text("resource_id"), salvaged_at, fields.text("unread", pattern=UNREAD, default="")

    def _remove(self, cluster: Description) -> None:
        """Removes what can be removed now; RDS continues by itself, and the next round does what this one could not."""
        if cluster["Status"] == DELETING:
            return
        found = self.here.find_global(self.environment.global_cluster) or {}
        if self.environment.peer_cluster_arn in members(found):
            self.there.leave_global(self.environment.global_cluster, self.environment.peer_cluster_arn)
            return
        self.there.unprotect(cluster)
        for instance in self.there.instances_of(cluster):
            if instance["DBInstanceStatus"] != DELETING:
                self.there.delete_instance(instance["DBInstanceIdentifier"])
        self.there.delete(self.environment.peer_cluster)

    def _remove_global(self, order: Order) -> None:
        """Removes the global database that the old cluster leaves empty; one that has this cluster is the new one."""
        found = self.here.find_global(self.environment.global_cluster)
        if found is None or self.environment.cluster_arn in members(found):
            return
        self.control.assert_reprotecting(order.run, order.epoch)
        self.here.delete_global(found)
        raise RetirementPending(f"the global database {self.environment.global_cluster} is being removed")
