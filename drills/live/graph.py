"""The picture of a state machine: its states in layers from top to bottom, its transitions as lines between them.

The layout is the usual one of layers (Sugiyama, Tagawa and Toda, 1981): loops are turned round, each state stands below
all that lead to it, lines across several layers get a bend in each, neighbours are ordered by the mean of what they
are joined to, and then moved towards it. Lines to the same state share their bends, so that the many ways into an
error's state make one line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

# The picture's measures, in the units of its view box.
LETTER_WIDTH, PADDING = 6.7, 16
STATE_HEIGHT, LAYER_HEIGHT = 24, 46
BEND_WIDTH, GAP, MARGIN = 8, 14, 16
LOOP_WIDTH = 26
# The layout has settled long before.
SWEEPS = 24


@dataclass(frozen=True)
class State:
    """A state in the picture: its middle, its width, and its type as the definition names it."""

    name: str
    type: str
    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Line:
    """A transition: where it leads from and to, its path, and whether it is an error's, or leads back."""

    source: str
    target: str
    path: str
    error: bool
    back: bool


@dataclass(frozen=True)
class Graph:
    """The picture of one state machine."""

    name: str
    width: float
    height: float
    states: list[State]
    lines: list[Line]


# A place in a layer: a state's name, or a bend of the lines to a state.
Place = str | tuple[str, int]


def graph_of(definition: Path) -> Graph:
    """Returns the picture of a state machine's definition (``NAME.asl.json``)."""
    machine = json.loads(definition.read_text(encoding="utf-8"))
    types = {name: str(state["Type"]) for name, state in _states(machine)}
    transitions = _transitions(machine)
    back = _loops(machine["StartAt"], transitions)
    layer_of = _layers(machine["StartAt"], [each for each in transitions if each not in back])
    layers, segments = _with_bends(layer_of, [each for each in transitions if each not in back])
    widths: dict[Place, float] = {
        place: len(place) * LETTER_WIDTH + PADDING if isinstance(place, str) else BEND_WIDTH
        for layer in layers
        for place in layer
    }
    layers = _ordered(layers, segments)
    x = _placed(layers, segments, widths)
    left = min(x[place] - widths[place] / 2 for place in x)
    right = max(x[place] + widths[place] / 2 for place in x)
    x = {place: at - left + MARGIN for place, at in x.items()}
    y = {
        place: MARGIN + STATE_HEIGHT / 2 + number * LAYER_HEIGHT
        for number, layer in enumerate(layers)
        for place in layer
    }
    return Graph(
        definition.name.split(".")[0],
        right - left + 2 * MARGIN + LOOP_WIDTH,
        len(layers) * LAYER_HEIGHT - (LAYER_HEIGHT - STATE_HEIGHT) + 2 * MARGIN,
        [State(name, types[name], x[name], y[name], widths[name]) for name in types if name in x],
        [_line(each, layer_of, x, y, widths, leads_back=each in back) for each in transitions],
    )


@dataclass(frozen=True)
class _Transition:
    source: str
    target: str
    error: bool = False


def _states(machine: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields every state, those of branches too."""
    for name, state in machine["States"].items():
        yield name, state
        for branch in state.get("Branches", ()):
            yield from _states(branch)


def _ends(machine: Mapping[str, Any]) -> list[str]:
    """Returns the states in which a branch ends well."""
    return [name for name, state in machine["States"].items() if state.get("End") or state["Type"] == "Succeed"]


def _transitions(machine: Mapping[str, Any]) -> list[_Transition]:
    """Returns the transitions, each once: a Parallel state leads to its branches, and they to what comes after it."""
    found: dict[_Transition, None] = {}
    for name, state in _states(machine):
        branches = state.get("Branches", ())
        following = [choice["Next"] for choice in state.get("Choices", ())]
        following += [state[way] for way in ("Default", "Next") if way in state and not branches]
        following += [branch["StartAt"] for branch in branches]
        found |= {_Transition(name, target): None for target in following}
        found |= {_Transition(end, state["Next"]): None for branch in branches for end in _ends(branch)}
        caught = [catch["Next"] for catch in state.get("Catch", ())]
        found |= {_Transition(name, target, error=True): None for target in caught if target not in following}
    return list(found)


def _loops(start: str, transitions: Sequence[_Transition]) -> set[_Transition]:
    """Returns the transitions that lead back to a state on the way to them."""
    back, done, on_the_way = set(), set(), []

    def visit(state: str) -> None:
        on_the_way.append(state)
        for each in transitions:
            if each.source != state:
                continue
            if each.target in on_the_way:
                back.add(each)
            elif each.target not in done:
                visit(each.target)
        done.add(on_the_way.pop())

    visit(start)
    return back


def _layers(start: str, transitions: Sequence[_Transition]) -> dict[str, int]:
    """Returns the layer of each state: the length of the longest way to it."""
    layer, changed = {start: 0}, True
    while changed:
        changed = False
        for each in transitions:
            if each.source in layer and layer.get(each.target, -1) <= layer[each.source]:
                layer[each.target], changed = layer[each.source] + 1, True
    return layer


def _way(each: _Transition, layer_of: Mapping[str, int]) -> list[Place]:
    """Returns the places of a transition, bends included."""
    between = range(layer_of[each.source] + 1, layer_of[each.target])
    return [each.source, *((each.target, layer) for layer in between), each.target]


def _with_bends(
    layer_of: Mapping[str, int], transitions: Sequence[_Transition]
) -> tuple[list[list[Place]], list[tuple[Place, Place]]]:
    """Returns the places in each layer, and which of them are joined."""
    layers: list[dict[Place, None]] = [{} for _ in range(max(layer_of.values()) + 1)]
    segments: dict[tuple[Place, Place], None] = {}
    for state, layer in layer_of.items():
        layers[layer][state] = None
    for each in transitions:
        way = _way(each, layer_of)
        for place in way[1:-1]:
            assert not isinstance(place, str)
            layers[place[1]][place] = None
        segments |= dict.fromkeys(pairwise(way))
    return [list(layer) for layer in layers], list(segments)


def _joined(segments: Sequence[tuple[Place, Place]]) -> tuple[dict[Place, list[Place]], dict[Place, list[Place]]]:
    """Returns what each place is joined to in the layer above it, and in the one below it."""
    above: dict[Place, list[Place]] = {}
    below: dict[Place, list[Place]] = {}
    for upper, lower in segments:
        above.setdefault(lower, []).append(upper)
        below.setdefault(upper, []).append(lower)
    return above, below


def _ordered(layers: list[list[Place]], segments: Sequence[tuple[Place, Place]]) -> list[list[Place]]:
    """Returns the layers in the order with the fewest crossings that was found."""
    above, below = _joined(segments)
    best, fewest = layers, _crossings(layers, segments)
    for sweep in range(SWEEPS):
        neighbours = below if sweep % 2 else above
        layers = [list(layer) for layer in layers]
        for layer in reversed(layers) if sweep % 2 else layers:
            at = {place: number for each in layers for number, place in enumerate(each)}
            layer.sort(key=lambda place: fmean(at[each] for each in neighbours.get(place, [place])))
        if (crossings := _crossings(layers, segments)) < fewest:
            best, fewest = layers, crossings
    return best


def _crossings(layers: Sequence[Sequence[Place]], segments: Sequence[tuple[Place, Place]]) -> int:
    at = {place: (number, position) for number, layer in enumerate(layers) for position, place in enumerate(layer)}
    by_layer: dict[int, list[tuple[int, int]]] = {}
    for upper, lower in segments:
        by_layer.setdefault(at[upper][0], []).append((at[upper][1], at[lower][1]))
    return sum(
        (one[0] - other[0]) * (one[1] - other[1]) < 0
        for pairs in by_layer.values()
        for number, one in enumerate(pairs)
        for other in pairs[number + 1 :]
    )


def _placed(
    layers: Sequence[Sequence[Place]], segments: Sequence[tuple[Place, Place]], widths: Mapping[Place, float]
) -> dict[Place, float]:
    """Returns where across each place stands: near what it is joined to, and not over its neighbours."""
    above, below = _joined(segments)
    x: dict[Place, float] = {}
    for layer in layers:
        at = 0.0
        for place in layer:
            x[place] = at + widths[place] / 2
            at += widths[place] + GAP
    for sweep in range(2 * SWEEPS):
        neighbours = below if sweep % 2 else above
        for layer in reversed(layers) if sweep % 2 else layers:
            wanted = [fmean([x[each] for each in neighbours.get(place, [place])]) for place in layer]
            _spread(layer, wanted, widths, x)
    return x


def _spread(layer: Sequence[Place], wanted: list[float], widths: Mapping[Place, float], x: dict[Place, float]) -> None:
    """Moves a layer's places as near as possible to where they are wanted: groups that touch move as one."""
    groups: list[tuple[list[int], float]] = []  # members, and where the first of them wants to be
    offset = [0.0]
    for left, right in pairwise(layer):
        offset.append(offset[-1] + (widths[left] + widths[right]) / 2 + GAP)
    for number in range(len(layer)):
        members, at = [number], wanted[number] - offset[number]
        while groups and groups[-1][1] >= at:
            members = groups.pop()[0] + members
            at = fmean(wanted[member] - offset[member] for member in members)
        groups.append((members, at))
    for members, at in groups:
        for member in members:
            x[layer[member]] = at + offset[member]


def _line(
    each: _Transition,
    layer_of: Mapping[str, int],
    x: Mapping[Place, float],
    y: Mapping[Place, float],
    widths: Mapping[Place, float],
    *,
    leads_back: bool,
) -> Line:
    half = STATE_HEIGHT / 2
    if leads_back:  # out of one side and into the same side of the state above
        x1, x2 = (x[name] + widths[name] / 2 for name in (each.source, each.target))
        y1, y2 = y[each.source], y[each.target]
        far = max(x1, x2) + LOOP_WIDTH
        path = f"M{x1:.1f} {y1:.1f}C{far:.1f} {y1:.1f} {far:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        return Line(each.source, each.target, path, each.error, back=True)
    way = _way(each, layer_of)
    path = f"M{x[way[0]]:.1f} {y[way[0]] + half:.1f}"
    for above, below in pairwise(way):
        top = y[above] + (half if above == each.source else 0)
        bottom = y[below] - (half if below == each.target else 0)
        middle = (top + bottom) / 2
        path += f"C{x[above]:.1f} {middle:.1f} {x[below]:.1f} {middle:.1f} {x[below]:.1f} {bottom:.1f}"
    return Line(each.source, each.target, path, each.error, back=False)
