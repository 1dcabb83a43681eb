"""Route 53: health checks of both regions' writer switches, and where the public name leads.

As `drills.aws.health_checks`: checkers that do not coordinate ask every 10 s, an endpoint is healthy when more than 18%
of them say so, and the name leads to the SECONDARY record's region when either endpoint is.

The checkers rest while no switch can say yes. One says so by the record, or by what it has read there no longer than a
lease ago. Once clients have belonged in PRIMARY's region for a lease, whatever befalls a switch makes of its no at most
no answer, which is the same to a checker. While they belong in SECONDARY's the checkers never rest: what a switch
repeats is as fresh as it would be, and its age is seen. They also keep an environment of each switch warm, so that they
ask for a while after what may have left none.

Limits: four checkers stand for sixteen, so that one is enough to engage and all have to agree to disengage.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from handlers.core.lease import CLOCK_MARGIN_S, LEASE_S
from simulation.happened import NameLeadsTo
from simulation.stand_ins import ClientError
from simulation.virtual_time import Process

if TYPE_CHECKING:
    from simulation.world import World

CHECKERS = 4
HEALTHY_ABOVE = 0.18
INTERVAL_S = 10.0
# A switch repeats its last answer for a lease, by a clock that may be set back meanwhile by twice its error; after that
# every checker asks once more.
UNSETTLED_S = LEASE_S + 2 * CLOCK_MARGIN_S + INTERVAL_S
ANSWER_LIMIT_S = 6.0
CONNECT_LIMIT_S = 4.0


class Dns:
    """The zone's failover record."""

    def __init__(self, world: World, primary: str, secondary: str) -> None:
        self._world = world
        self._primary, self._secondary = primary, secondary
        self._checkers = Process("health checkers")
        self._opinions = {region: [False] * CHECKERS for region in world.regions}
        self._phases = {
            (region, number): world.chance.uniform(0, INTERVAL_S)
            for region in world.regions
            for number in range(CHECKERS)
        }
        self._asks = dict.fromkeys(self._phases, False)
        self._until = 0.0
        self.leads_to = primary

    def stir(self) -> None:
        """Has the checkers ask: while clients belong in SECONDARY's region, and else for a while."""
        world = self._world
        engaged = world.clients_belong == self._secondary
        self._until = math.inf if engaged else world.time.now + UNSETTLED_S
        for checker, phase in self._phases.items():
            if not self._asks[checker]:
                self._asks[checker] = True
                wait = (phase - world.at) % INTERVAL_S
                world.time.after(wait, lambda checker=checker: self._ask(checker))  # type: ignore[misc]

    def _ask(self, checker: tuple[str, int]) -> None:
        world, (region, number) = self._world, checker

        def ask() -> None:
            answered = self._answer(region)
            if answered != self._opinions[region][number]:
                self._opinions[region][number] = answered
                self._look()

        world.time.spawn(ask, self._checkers)
        self._asks[checker] = world.time.now + INTERVAL_S <= self._until
        if self._asks[checker]:
            world.time.after(INTERVAL_S, lambda: self._ask(checker))

    def _answer(self, region: str) -> bool:
        world = self._world
        fault = world.faults.acting("region dead", region) or world.faults.acting("unreachable", region)
        if fault is not None:
            world.time.sleep(0.1 if fault.how.get("refuses") else CONNECT_LIMIT_S)
            return False
        asked = world.time.spawn(lambda: world.functions.invoke_by_step(region, "writer_switch", {}), world.outside)
        try:
            outcome = asked.result(ANSWER_LIMIT_S)
        except (TimeoutError, ClientError):
            return False
        return outcome.error is None and outcome.value["statusCode"] == 200

    def _look(self) -> None:
        engaged = any(sum(opinions) > HEALTHY_ABOVE * CHECKERS for opinions in self._opinions.values())
        leads_to = self._secondary if engaged else self._primary
        if leads_to != self.leads_to:
            self.leads_to = leads_to
            self._world.tell(NameLeadsTo(self._world.at, leads_to))
