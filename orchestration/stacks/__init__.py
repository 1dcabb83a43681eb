"""The Terraform stacks, one for each failure domain, and the order between them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from cdktf import App

from orchestration.packaging import Package
from orchestration.settings import Settings
from orchestration.stacks.base import DeploymentStack
from orchestration.stacks.global_stack import GlobalStack
from orchestration.stacks.identity_stack import IdentityStack
from orchestration.stacks.region_stack import RegionStack

__all__ = ["synthesize"]


def synthesize(settings: Settings, packages: Mapping[str, Package], output: Path) -> list[str]:
    """Writes every stack below ``output``; returns their names in the order in which they are deployed."""
    app = App(outdir=str(output))
    stacks: list[DeploymentStack] = [
        IdentityStack(app, settings),
        RegionStack(app, settings, settings.writer_region, packages),
        RegionStack(app, settings, settings.standby_region, packages),
        GlobalStack(app, settings),
    ]
    for earlier, later in pairwise(stacks):
        later.add_dependency(earlier)
    app.synth()
    return [stack.node.id for stack in stacks]
