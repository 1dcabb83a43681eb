"""One history: a function of its seed and its faults, to the letter."""

from __future__ import annotations

import gc
import json
import random
from collections.abc import Sequence
from functools import cache

from simulation import faults as faulty
from simulation.control_table import WITNESS
from simulation.faults import Fault
from simulation.happened import History
from simulation.interpreter import Machine, load
from simulation.product import Product
from simulation.workflows import Workflow
from simulation.world import World

# Faults are over by `faults.OVER_BY_S`; the rest is for the product to find its way back. One in five is a long one;
# one in fifteen goes on until there is a standby again, and the writer is back where it was.
LASTS_S = 180.0
LONG_ONE_IN = 5
WAY_BACK_ONE_IN, WAY_BACK_AT = 15, 7


@cache
def _product() -> Product:
    return Product()


@cache
def _machines() -> dict[tuple[str, Workflow], Machine]:
    machines: dict[tuple[str, Workflow], Machine] = {}
    for region in _product().specification.regions.values():
        machines[region.name, "failover"] = load(json.loads(region.state_machine.definition))
        machines[region.name, "reprotect"] = load(json.loads(region.reprotection.definition))
    return machines


def is_long(seed: int) -> bool:
    """Returns whether the history of that seed is a long one; see `simulation.faults.draw`."""
    return seed % LONG_ONE_IN == 0


def has_way_back(seed: int) -> bool:
    """Returns whether people re-protect in the history of that seed; see `simulation.faults.way_back`."""
    return seed % WAY_BACK_ONE_IN == WAY_BACK_AT


def lasts(seed: int) -> float:
    """Returns how long the history of a seed is, in seconds."""
    if has_way_back(seed):
        return faulty.WAY_BACK_S
    return faulty.LONG_S if is_long(seed) else LASTS_S


def faults_of(seed: int) -> tuple[Fault, ...]:
    """Returns the faults that are drawn for a seed."""
    settings = _product().specification.settings
    standby = next(region for region in settings.regions if region != settings.writer_region)
    writer = settings.writer_region

    def chance(of: str) -> random.Random:
        return random.Random(f"{of} {seed}")  # noqa: S311 - nothing secret

    drawn = faulty.draw(chance("faults"), writer, standby, WITNESS, long=is_long(seed))
    if is_long(seed):
        drawn = faulty.mute(chance("mute"), drawn)
    if has_way_back(seed):
        drawn = faulty.way_back(chance("way back"), drawn, writer, standby)
    else:
        drawn = faulty.unasked(chance("unasked"), drawn, writer, standby)
        drawn = faulty.by_hand(chance("hands"), drawn, writer, standby)
        drawn = faulty.seldom(chance("seldom"), drawn, writer, standby)
        drawn = faulty.set_back(chance("set back"), drawn, writer)
    over_by = faulty.WAY_BACK_OVER_BY_S if has_way_back(seed) else faulty.OVER_BY_S
    drawn = faulty.beside(chance("beside"), drawn, writer, standby, over_by=over_by, lasts=lasts(seed))
    drawn = faulty.visited(chance("visited"), drawn, writer, standby, over_by=over_by, lasts=lasts(seed))
    return faulty.twice(chance("twice"), drawn, writer, standby, over_by=over_by)


def run(seed: int, faults: Sequence[Fault] | None = None) -> History:
    """Plays a history; with ``faults`` instead of those that are drawn for the seed."""
    chosen = faults_of(seed) if faults is None else tuple(faults)
    product = _product()
    world = World(product, _machines(), seed, chosen)
    product.wires.world = world
    # The collector would look at thousands of facts again and again. What a history leaves behind is collected once.
    gc.disable()
    try:
        world.play(lasts(seed))
    finally:
        gc.enable()
    return History(seed, world.regions, chosen, tuple(world.happened), tuple(world.errors))
