"""The product's own code: loaded once for each region, with stand-ins for the libraries that lead to the world.

Handlers, gateways and decisions are the files that are deployed, and the verbs are those of ``failoverctl``. What is
replaced is named here: the AWS library and Powertools (`simulation.stand_ins`), the clock, the threads, chance, and
DynamoDB's expressions, in whose place a write carries its row, which `handlers.core.conditional_write` evaluates.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import json
import os
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import handlers
from handlers.core.control import ControlRecord
from handlers.machine import Machine
from orchestration.settings import load
from orchestration.specification import Specification, describe
from orchestration.specification.model import Function
from simulation import stand_ins
from simulation.control_table import Date
from simulation.hooks import HOOKS
from simulation.rights import Rights

ACCOUNT = "123456789012"
# Functions that log in to a database by PostgreSQL's protocol; the world answers in their place (`simulation.prober`).
MODELLED = ("prober", "salvage", "bootstrap_database")
# The verbs of ``failoverctl`` that change the protocol, and what they share.
VERBS = ("maintenance", "let_in", "break_glass", "flags", "deployment", "errors")
# What an environment of Lambda remembers from one invocation to the next, made anew where it begins.
REMEMBERED: dict[str, dict[str, Callable[[Any], Any]]] = {
    "monitor": {"CONTROL": lambda module: module.ControlTable.through_either(module.ENVIRONMENT)},
    "fence": {"RESTART": lambda module: module.Restart()},
    "writer_switch": {"LAST": lambda module: module.LastAnswer()},
}


class Product:
    """What is deployed. ``wires`` lead its calls to the world of the present history."""

    def __init__(self) -> None:
        settings = load(
            environment_suffix="test",
            environment="development",
            hooks=HOOKS,
            database={"capacity_follows": True, "min_capacity": 4.0},
        )
        self.specification: Specification = describe(settings, ACCOUNT)
        self.rights = Rights(self.specification)
        self.wires = stand_ins.Wires()
        self.functions = {
            (region.name, function.name): function
            for region in self.specification.regions.values()
            for function in region.functions.values()
        }
        self._shared: dict[str, ModuleType] = {}  # every module of the product but its decisions and its handlers
        self._idle: dict[tuple[str, str], list[ModuleType]] = {}
        self._stand_ins = stand_ins.modules(self.wires)

    def module(self, region: str, name: str) -> ModuleType:
        """Returns a function's module for an environment that begins."""
        function = self.functions[region, name]
        idle = self._idle.setdefault((region, name), [])
        module = idle.pop() if idle else self._load(function, region)
        remembered = REMEMBERED.get(function.step)
        if remembered is None:
            idle.append(module)  # it remembers nothing, so that any number of environments may share it
            return module
        for what, make in remembered.items():
            setattr(module, what, make(module))
        return module

    def give_back(self, region: str, name: str, module: ModuleType) -> None:
        """Takes the module of an environment that is no more."""
        if self.functions[region, name].step in REMEMBERED:
            self._idle[region, name].append(module)

    @cached_property
    def verbs(self) -> SimpleNamespace:
        """The modules of ``failoverctl``, by their names in it; loaded when the first person needs them."""
        with self._in_place():
            modules = {name: importlib.import_module(f"failoverctl.{name}") for name in VERBS}
            for name, one in list(sys.modules.items()):
                if _is_ours(name) and name not in self._shared and name not in self._stand_ins:
                    self._replace(one)
                    if not name.startswith("failoverctl"):
                        self._shared[name] = one
        return SimpleNamespace(**modules)

    def _load(self, function: Function, region: str) -> ModuleType:
        variables = {
            **function.environment,
            **{name: f"sg-{key}-{region}" for name, key in function.security_groups},
            "AWS_REGION": region,
        }
        with self._in_place(), mock.patch.dict(os.environ, variables):
            module = importlib.import_module(function.module)
            loaded = {name: module for name, module in sys.modules.items() if name.startswith("handlers.")}
            for name, one in loaded.items():
                if name not in self._shared and not name.startswith("handlers.core"):
                    self._replace(one)
            del sys.modules[function.module]
            self._shared = {
                name: one
                for name, one in loaded.items()
                if name != function.module and not name.startswith("handlers.core")
            }
        return module

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Lets imports find the stand-ins, and what was loaded with them; afterwards all is as it was."""

        def ours(name: str) -> bool:
            return name in self._stand_ins or _is_ours(name)

        before = {name: sys.modules.pop(name) for name in list(sys.modules) if ours(name)}
        attributes = dict(vars(handlers))
        sys.modules.update(self._shared | self._stand_ins)
        try:
            yield
        finally:
            for name in [name for name in sys.modules if ours(name)]:
                del sys.modules[name]
            sys.modules.update(before)
            vars(handlers).clear()
            vars(handlers).update(attributes)

    def _replace(self, module: ModuleType) -> None:
        """Gives a module that was just loaded the present history's clock and threads."""
        names = vars(module)
        if names.get("time") is time:
            names["time"] = _Clock(self.wires)
        if names.get("ThreadPoolExecutor") is concurrent.futures.ThreadPoolExecutor:
            names["ThreadPoolExecutor"] = lambda workers=None: self.wires.world.time.pool(workers)
        if names.get("threading") is threading and names.get("queue") is queue:
            names["threading"] = SimpleNamespace(Thread=lambda **how: stand_ins.Thread(self.wires, **how))
            names["queue"] = SimpleNamespace(SimpleQueue=lambda: stand_ins.Queue(self.wires), Empty=queue.Empty)
        if names.get("secrets") is secrets:
            names["secrets"] = SimpleNamespace(token_hex=lambda size: self.wires.world.chance.randbytes(size).hex())
        if "MACHINE" in names:
            names["MACHINE"] = self._machine()
        if module.__name__ == "handlers.gateways.items":  # the world's tables hold plain values
            names["plain"], names["typed"] = lambda item: item, lambda value: {"M": value}
        if module.__name__ == "handlers.gateways.aws":
            names["json"] = stand_ins.carried(json.loads)
        if module.__name__ == "handlers.gateways.names":
            # As RDS lists a member for too long, it may publish an endpoint too late.
            names["has_address"] = lambda *_: not self.wires.world.faults.acting("rds lists", "")
        if module.__name__ == "handlers.gateways.control_table":
            names["compiled"] = lambda row, values: {"Row": row, "Values": values}
            names["ControlRecord"] = _Records()
            names["parsedate_to_datetime"] = Date.read

    def _machine(self) -> Machine:
        clock = _Clock(self.wires)
        return Machine(
            now=clock.time,
            monotonic=clock.monotonic,
            sleep=clock.sleep,
            pool=lambda workers: self.wires.world.time.pool(workers),
            background=lambda work: self.wires.world.time.background(work),
            event=lambda: self.wires.world.time.event(),
        )


def _is_ours(name: str) -> bool:
    """Whether a module is loaded anew: not the decisions, which know nothing of the world."""
    return name.partition(".")[0] == "failoverctl" or (
        name.startswith("handlers.") and name != "handlers.core" and not name.startswith("handlers.core.")
    )


class _Records:
    """As `ControlRecord`, whose `read` is asked for the same item by every guardian and step: it is read once."""

    def __init__(self) -> None:
        self._item: Mapping[str, Any] = {}
        self._record: ControlRecord | None = None

    def read(self, item: Mapping[str, Any]) -> ControlRecord:
        if self._record is None or item is not self._item:
            self._item, self._record = item, ControlRecord.read(item)
        return self._record


class _Clock:
    """As the module `time`, in the present history."""

    def __init__(self, wires: stand_ins.Wires) -> None:
        self._wires = wires

    def time(self) -> float:
        return self._wires.world.time.time()  # type: ignore[no-any-return]

    def monotonic(self) -> float:
        return self._wires.world.time.now  # type: ignore[no-any-return]

    def sleep(self, seconds: float) -> None:
        self._wires.world.time.sleep(seconds)
