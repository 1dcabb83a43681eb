"""What the ends of both workflows know of a run: tied to the definitions, and never in the way of a message."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.core import outcome, reprotection_outcome
from handlers.core.errors import InvalidRequest
from handlers.core.failover_progress import Assessment, FailoverProgress, Moved
from handlers.core.message import Message, Workflows
from handlers.core.outcome import FailoverEnd
from handlers.core.progress import Answer, CaughtError, Ended, Parts
from handlers.core.reading import Fields
from handlers.core.reprotection_outcome import ReprotectionEnd
from handlers.core.reprotection_progress import ReprotectionProgress
from handlers.core.results import Commit, Release
from handlers.core.run_record import run_record
from handlers.core.timing import Timing
from orchestration.specification.workflows import FAILOVER_ASL, REPROTECT_ASL, definition
from tests.handlers.core import kept
from tests.handlers.core.kept import BEGAN, STARTED

WORKFLOWS = {"failover": definition(FAILOVER_ASL), "reprotect": definition(REPROTECT_ASL)}
ENDS = {"failover": ("RecordRun", "Notify"), "reprotect": ("NotifyReprotection",)}
PROGRESS: dict[str, type[Parts]] = {"failover": FailoverProgress, "reprotect": ReprotectionProgress}


# --- tied to the definitions


def kept_by(machine: dict[str, Any], ends: tuple[str, ...]) -> set[str]:
    """The names under which a definition keeps something that its ends can see, whatever way a run took there."""
    ways: list[tuple[str, frozenset[str]]] = [(machine["StartAt"], frozenset())]
    found: set[str] = set()
    visited = set()
    while ways:
        state, data = ways.pop()
        if (state, data) in visited:
            continue
        visited.add((state, data))
        if state in ends:
            found |= data
        ways += _onwards(machine["States"][state], data)
    return found


def _onwards(state: dict[str, Any], data: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Where a state leads, and with what: JSONPath's rules for ``ResultPath`` and for errors that are caught."""
    result = state.get("ResultSelector", state.get("Parameters", {}))
    # A choice keeps what it got; another state's result takes the place of everything, unless it has a path.
    after = data if state["Type"] in ("Choice", "Wait") else _put(data, state.get("ResultPath", "$"), result)
    ways = [state[word] for word in ("Next", "Default") if word in state]
    ways += [rule["Next"] for rule in state.get("Choices", ())]
    yield from ((way, after) for way in ways)
    for catcher in state.get("Catch", ()):
        yield catcher["Next"], _put(data, catcher.get("ResultPath", "$"), {"Error": "", "Cause": ""})


def _put(data: frozenset[str], path: str, result: dict[str, Any]) -> frozenset[str]:
    if path == "$":
        return frozenset(name.removesuffix(".$") for name in result)
    return data | {path.removeprefix("$.").split(".")[0]}


def kept_by_branches(machine: dict[str, Any]) -> dict[str, set[str]]:
    """What the parallel states keep together: name → the names in it."""
    found: dict[str, set[str]] = {}
    for state in machine["States"].values():
        if state["Type"] == "Parallel":
            names = {name.removesuffix(".$") for name in state["ResultSelector"]}
            found.setdefault(state["ResultPath"].removeprefix("$."), set()).update(names)
    return found


def received_as(data: dict[str, Any]) -> Fields:
    return Fields(data, "progress", InvalidRequest)


def names(parts: type[Parts]) -> set[str]:
    return {field.name for field in dataclasses.fields(parts)}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_result_path_that_the_ends_can_see_has_its_field_and_no_field_is_without_one(workflow: str) -> None:
    # How the run ended is handed to the ends beside its progress.
    assert kept_by(WORKFLOWS[workflow], ENDS[workflow]) - {"outcome"} == names(PROGRESS[workflow])


def test_the_same_holds_inside_what_parallel_branches_keep() -> None:
    assert kept_by_branches(WORKFLOWS["failover"]) == {"assessment": names(Assessment), "moved": names(Moved)}
    assert kept_by_branches(WORKFLOWS["reprotect"]) == {}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_ends_are_handed_what_they_refuse_to_do_without(workflow: str) -> None:
    for name in ENDS[workflow]:
        assert WORKFLOWS[workflow]["States"][name]["Parameters"]["Payload"] == {
            "run.$": "$$.Execution.Name",
            "outcome.$": "$.outcome",
            "started_at.$": "$$.Execution.StartTime",
            "progress.$": "$",
        }


@pytest.mark.parametrize(
    ("milestones", "progress"),
    [(outcome.MILESTONES, FailoverProgress), (reprotection_outcome.MILESTONES, ReprotectionProgress)],
    ids=["failover", "reprotect"],
)
def test_milestones_are_parts_of_the_progress_in_its_order(milestones: dict[str, str], progress: type[Parts]) -> None:
    assert list(milestones) == [field.name for field in dataclasses.fields(progress) if field.name in milestones]


# --- read as it was written


SAVED = run_record(
    FailoverEnd.read({"run": "run-1", "outcome": "recovered", "progress": kept.FAILOVER}), STARTED, BEGAN + 60
)
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "failover": [
        kept.FAILOVER,
        kept.SWITCHED_OVER,
        kept.FAILOVER
        | kept.REFUSED_DETACH
        | {
            "approval": {"approved_by": "grace"},
            "approved_lease": kept.under_result(dataclasses.replace(kept.LEASE, approved_by="grace")),
            "release_error": {"Error": "HalfWay", "Cause": "it keeps the lock"},
            "record": kept.under_result(SAVED),
        },
    ],
    "reprotect": [
        kept.REPROTECTION,
        kept.REPROTECTION
        | {
            "follows": {"Error": "AlreadyFollows", "Cause": "it is a secondary already"},
            "error": {"Error": "LockLost"},
            "released": kept.under_result(Release(released=True)),
            "release_error": {"Error": "TransientFailure", "Cause": "away"},
        },
    ],
}


def written(part: Any) -> Any:
    """A part as the workflow keeps it, but for ``result``, which some are kept under."""
    if isinstance(part, Parts):
        return {name: written(one) for name, one in part.reached.items()}
    if isinstance(part, CaughtError):
        return {"Error": part.error, "Cause": part.cause}
    if isinstance(part, Answer):
        return asdict(part)
    assert isinstance(part, Ended)
    assert part.result is not None
    return asdict(part.result) | ({"timing": asdict(part.timing)} if part.timing else {})


def unwrapped(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    if "result" in data:
        return unwrapped(data["result"])
    return {name: unwrapped(value) for name, value in data.items()} | (
        {"Cause": data.get("Cause", "")} if "Error" in data else {}
    )


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_what_the_steps_give_back_is_read_to_the_last_field(workflow: str) -> None:
    reached: set[str] = set()
    for example in EXAMPLES[workflow]:
        received = json.loads(json.dumps(example))
        unreadable: list[str] = []
        found = PROGRESS[workflow].read(received_as(received), unreadable)
        assert unreadable == []
        assert json.loads(json.dumps(written(found))) == unwrapped(received)
        reached |= set(found.reached)
    assert reached == names(PROGRESS[workflow])  # no class is without an example


def test_phases_of_the_record_are_told_apart() -> None:
    everything = dict(kept.SWITCHED_OVER, moved=kept.MOVED | kept.SWITCHED_OVER["moved"], approved_lease={})
    phases = [step.phase for step in FailoverProgress.read(received_as(everything), []).steps]
    assert len(set(phases)) == len(phases) == 13


# --- tolerant where people wait for a message, strict where there would be none


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, examples: list[dict[str, Any]]) -> dict[str, Any]:
    """A run's data of which some place, at whatever depth, holds something else, or nothing."""
    data: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(examples))))
    for _ in range(draw(st.integers(1, 3))):
        here, name = data, draw(st.sampled_from(sorted(data)))
        while isinstance(here[name], dict) and here[name] and draw(st.booleans()):
            here, name = here[name], draw(st.sampled_from(sorted(here[name])))
        if draw(st.booleans()):
            here[name] = draw(JSON)
        else:
            del here[name]
        if not data:
            break
    return data


def assert_sendable(message: Message, run: str) -> None:
    assert 0 < len(message.subject) <= 100
    assert message.subject.isascii()
    assert message.subject.isprintable()
    assert f"Run {run} of arn:aws:states:" in message.text


@given(st.data())
def test_no_malformed_part_keeps_a_failovers_end_from_people_or_from_its_record(data: st.DataObject) -> None:
    progress = data.draw(damaged(EXAMPLES["failover"]))
    how = data.draw(st.sampled_from(sorted(outcome.HEADLINES)))
    end = FailoverEnd.read({"run": "run-1", "outcome": how, "progress": progress})
    arn = "arn:aws:states:us-west-2:123456789012:stateMachine:failover"
    workflows = Workflows(arn, arn.replace("west-2", "east-1"), arn.replace("failover", "reprotect"))
    message = outcome.message(end, workflows, None, BEGAN)
    assert_sendable(message, "run-1")
    assert all(f"Not readable: {why}" in message.text for why in end.unreadable)
    json.dumps(asdict(run_record(end, STARTED, BEGAN + 60)))


@given(st.data())
def test_no_malformed_part_keeps_a_re_protections_end_from_people_or_from_its_record(data: st.DataObject) -> None:
    progress = data.draw(damaged(EXAMPLES["reprotect"]))
    how = data.draw(st.sampled_from(sorted(reprotection_outcome.HEADLINES)))
    end = ReprotectionEnd.read({"run": "run-2", "outcome": how, "progress": progress})
    message = reprotection_outcome.message(
        end,
        reprotect="arn:aws:states:us-west-2:123456789012:stateMachine:reprotect",
        failover="arn:aws:states:us-east-1:123456789012:stateMachine:failover",
    )
    assert_sendable(message, "run-2")
    assert all(f"Not readable: {why}" in message.text for why in end.unreadable)
    json.dumps(asdict(reprotection_outcome.record(end, STARTED, BEGAN + 60)))


@pytest.mark.parametrize(
    ("commit", "found", "why"),
    [
        (5, Ended(None, phase="commit_writer"), "commit is 5; it must be a JSON object"),
        ({"result": {}}, Ended(None, phase="commit_writer"), "field 'writer_region' is missing"),
        (
            {"result": {"writer_region": "us-west-2", "epoch": "5", "timing": {"began": 1, "ended": 2}}},
            Ended(None, Timing(1, 2), phase="commit_writer"),
            "commit, result: field 'epoch' is '5'; give a number",
        ),
        (
            {"result": asdict(Commit("us-west-2", 5)) | {"timing": "noon"}},
            Ended(Commit("us-west-2", 5), phase="commit_writer"),
            "commit, result, timing is 'noon'",
        ),
        (
            {"result": asdict(Commit("us-west-2", 5)) | {"unknown": 1}},
            Ended(Commit("us-west-2", 5), phase="commit_writer"),
            None,
        ),
    ],
    ids=["no object", "empty", "a wrong type", "no timing", "one field too many"],
)
def test_what_cannot_be_read_is_missed_and_named_and_the_rest_is_kept(
    commit: Any, found: Ended[Commit], why: str | None
) -> None:
    unreadable: list[str] = []
    progress = FailoverProgress.read(received_as(kept.FAILOVER | {"commit": commit}), unreadable)
    assert progress.commit == found
    assert progress.recovery is not None
    assert progress.recovery.result == kept.RECOVERY
    assert [bool(why and why in each) for each in unreadable] == [True] * (why is not None)


@pytest.mark.parametrize("answer", [None, "yes", 5, ["grace"], {}, {"approved_by": 7}])
def test_an_answer_that_names_nobody_is_one_all_the_same(answer: Any) -> None:
    unreadable: list[str] = []
    assert FailoverProgress.read(received_as({"approval": answer}), unreadable).approval == Answer(None)
    assert unreadable == []
