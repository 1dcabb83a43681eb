"""What the monitor asks only while something is wrong: each is made when it is first asked.

An AWS client takes 4 to 6 ms of a cold start, and the monitor starts once a minute. Whoever waits for an outage to end
waits as much longer, once.
"""

from __future__ import annotations

from functools import cached_property

from handlers.gateways.event_bus import EventBus
from handlers.gateways.global_database import GlobalDatabase, GlobalDatabaseVariables
from handlers.gateways.runs import Runs, RunsVariables
from handlers.gateways.warm_up import WarmUpVariables, Workflow


class RarelyAskedVariables(GlobalDatabaseVariables, RunsVariables, WarmUpVariables):
    """What it takes to make them."""


class RarelyAsked:
    """What a writer that is down, or a switchover, needs."""

    def __init__(self, environment: RarelyAskedVariables) -> None:
        self._environment = environment

    @cached_property
    def database(self) -> GlobalDatabase:
        """What RDS shows of a switchover."""
        return GlobalDatabase.of(self._environment)

    @cached_property
    def workflow(self) -> Workflow:
        """The functions that an attempt will need."""
        return Workflow.of(self._environment)

    @cached_property
    def runs(self) -> Runs:
        """The attempts, and whoever holds the lock."""
        return Runs.of(self._environment)

    @cached_property
    def bus(self) -> EventBus:
        """Where it is said first that the writer is down."""
        return EventBus.of(self._environment.aws_region)
