"""What a campaign has reached: transitions of the workflows, rows of the control record's table, pairs of faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any

from handlers.core.transitions import TRANSITIONS
from orchestration.specification.workflows import FAILOVER_ASL, REPROTECT_ASL, definition
from simulation.faults import KINDS
from simulation.happened import FaultBegan, FaultEnded, History, Refused, RunStarted, StateEntered, Written

# The state that was left, what led on, the next state; as in `simulation.interpreter.Transition`.
Step = tuple[str, str, str]
WORKFLOWS = {
    "failover": ("transitions of the failover workflow", FAILOVER_ASL),
    "reprotect": ("transitions of the re-protection workflow", REPROTECT_ASL),
}


@dataclass
class Reached:
    """How often each of them was reached."""

    steps: Counter[tuple[str, Step]] = field(default_factory=Counter)  # each with its workflow
    rows: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, history: History) -> None:
        """Counts what a history has reached; pairs of faults are those that act at the same time."""
        workflows = {one.run: one.workflow for one in history.happened if isinstance(one, RunStarted)}
        acting: list[str] = []
        for fact in history.happened:
            if isinstance(fact, StateEntered) and fact.before:
                self.steps[workflows[fact.run], (fact.before, fact.by, fact.state)] += 1
            elif isinstance(fact, Written | Refused):
                self.rows[fact.row if isinstance(fact, Written) else f"{fact.row} refused"] += 1
            elif isinstance(fact, FaultBegan):
                for other in acting:
                    self.pairs[_pair(other, fact.fault.kind)] += 1
                acting.append(fact.fault.kind)
                self.faults[fact.fault.kind] += 1
            elif isinstance(fact, FaultEnded):
                acting.remove(fact.fault.kind)

    def update(self, other: Reached) -> None:
        """Adds what another has counted."""
        self.steps.update(other.steps)
        self.rows.update(other.rows)
        self.pairs.update(other.pairs)
        self.faults.update(other.faults)

    def report(self) -> dict[str, Any]:
        """Returns how much of each there is, and what was never reached."""
        pairs = {_pair(*pair) for pair in combinations_with_replacement(sorted(kind.name for kind in KINDS), 2)}
        return {
            **{
                title: _share(
                    {_in_words(step) for step in _steps(definition(file))},
                    {_in_words(step) for which, step in self.steps if which == workflow},
                )
                for workflow, (title, file) in WORKFLOWS.items()
            },
            "rows of the control record": _share(set(TRANSITIONS), set(self.rows)),
            "kinds of faults": _share({kind.name for kind in KINDS}, set(self.faults)),
            "pairs of faults": _share({" + ".join(pair) for pair in pairs}, {" + ".join(pair) for pair in self.pairs}),
        }


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one <= other else (other, one)


def _in_words(step: Step) -> str:
    here, by, there = step
    return f"{here} -> {there} ({by})"


def _share(of: set[str], reached: set[str]) -> dict[str, Any]:
    return {"reached": len(of & reached), "of": len(of), "never": sorted(of - reached)}


def _steps(scope: Mapping[str, Any]) -> Iterator[Step]:
    for name, state in scope["States"].items():
        for word in ("Next", "Default"):
            if word in state:
                yield name, word, state[word]
        for number, rule in enumerate(state.get("Choices", ())):
            yield name, f"Choice {number}", rule["Next"]
        for catcher in state.get("Catch", ()):
            yield name, f"Catch {', '.join(catcher['ErrorEquals'])}", catcher["Next"]
        for branch in state.get("Branches", ()):
            yield from _steps(branch)
