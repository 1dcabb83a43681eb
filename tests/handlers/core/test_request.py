"""What a person or the alarm's rule may ask, and how anything else is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.core.claim import Claim
from handlers.core.commands import Step
from handlers.core.detection import Attempt
from handlers.core.errors import InvalidRequest
from handlers.core.outcome import FailoverEnd
from handlers.core.request import FIELDS, MODES, Request
from orchestration.settings import load
from orchestration.specification import describe

WEST = "us-west-2"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
# Mappings that have the right fields, and anything in them: these get past the first checks.
ALMOST = st.fixed_dictionaries({}, optional={field: JSON | st.sampled_from([*MODES, WEST, True]) for field in FIELDS})
CLAIM: dict[str, Any] = {
    "decision": "proceed",
    "reason": "the lock was free",
    "run": "run-1",
    "mode": "failover",
    "started_by": "ada",
    "incident": "outage 7",
    "writer_region": "us-east-1",
    "target_region": WEST,
    "epoch": 1,
    "resumes": None,
    "accept_data_loss": False,
    "heartbeat": None,
}
ALMOST_CLAIMS = st.fixed_dictionaries(
    {field: st.just(value) for field, value in CLAIM.items()} | {"epoch": JSON | st.just(1), "heartbeat": JSON}
)
Read = TypeVar("Read")


@given(JSON | ALMOST)
def test_any_input_is_a_request_or_one_clear_error(data: Any) -> None:
    request = read_or_refuse(lambda: Request.read(data, "run-1", WEST), "the execution's input")
    if request:
        assert request.mode in MODES
        assert request.target_region == WEST


@given(JSON | st.fixed_dictionaries({"run": JSON, "claim": JSON | ALMOST_CLAIMS}))
def test_any_event_of_a_step_is_a_step_or_one_clear_error(event: Any) -> None:
    step = read_or_refuse(lambda: Step.read(event), "the step's event")
    if step:
        assert isinstance(step.claim, Claim)


@given(JSON | st.fixed_dictionaries({"run": JSON, "outcome": JSON | st.just("recovered"), "progress": JSON}))
def test_any_event_of_notify_is_an_end_or_one_clear_error(event: Any) -> None:
    read_or_refuse(lambda: FailoverEnd.read(event), "the step's event")


def read_or_refuse(read: Callable[[], Read], name: str) -> Read | None:
    """What was read, or None after one error that names what was read, what is wrong and what to do."""
    try:
        return read()
    except InvalidRequest as error:
        message = str(error)
    assert message.startswith(name)
    assert ";" in message
    assert len(message) < 600
    return None


def test_the_least_that_can_be_asked() -> None:
    assert Request.read({"mode": "failover", "started_by": "ada"}, "run-1", WEST) == Request(
        mode="failover", started_by="ada", incident="run run-1", target_region=WEST, resumes=None, automatic=False
    )


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_can_be_asked_for(mode: str) -> None:
    assert Request.read({"mode": mode, "started_by": "ada"}, "run-1", WEST).mode == mode


def test_what_a_person_has_to_accept_is_never_accepted_by_default() -> None:
    request = Request.read({"mode": "failover", "started_by": "ada"}, "run-1", WEST)
    assert not request.accept_data_loss
    assert not request.ignore_cool_down
    assert not request.ignore_wrong_clock


def test_the_most_that_can_be_asked() -> None:
    data = {
        "mode": "rehearsal",
        "started_by": "alarm",
        "automatic": False,
        "incident": "outage 7",
        "target_region": WEST,
        "resumes": "run-0",
        "accept_data_loss": True,
        "ignore_cool_down": True,
        "ignore_wrong_clock": True,
        "epoch": 7,
        "attempt": 2,
        "asked_at": "2027-01-15T08:00:00Z",
    }
    assert set(data) == set(FIELDS)
    assert Request.read(data, "run-1", WEST) == Request(
        "rehearsal",
        "alarm",
        "outage 7",
        WEST,
        "run-0",
        automatic=False,
        accept_data_loss=True,
        ignore_cool_down=True,
        ignore_wrong_clock=True,
        epoch=7,
        attempt=2,
        asked_at=1_800_000_000.0,
    )


@pytest.mark.parametrize("name", ["run-0", "d1b2_e3", "drill.2026", "a+b=c@d", "x" * 80])
def test_every_name_that_step_functions_allows_can_be_resumed(name: str) -> None:
    assert Request.read({"mode": "failover", "started_by": "ada", "resumes": name}, "run-1", WEST).resumes == name


def test_the_rules_inputs_are_requests_in_both_regions() -> None:
    for region in describe(load(environment_suffix="test", environment="development"), "123456789012").regions.values():
        alarm, event = (
            Request.read(json.loads(filled(rule.input_template)), "run-1", region.name) for rule in region.rules
        )
        for request in (alarm, event):
            assert request.automatic
            assert not request.accept_data_loss
            assert not request.ignore_cool_down
            assert not request.ignore_wrong_clock
            assert request.asked_at == 1_800_000_000.0
        assert (alarm.started_by, alarm.epoch, alarm.attempt) == ("alarm writer-down", None, None)
        assert (event.started_by, event.epoch, event.attempt) == ("monitor", 7, 1)


def filled(template: str) -> str:
    """What EventBridge makes of a rule's template."""
    values = {"<alarm>": "writer-down", "<at>": "2027-01-15T08:00:00Z", "<epoch>": "7"}
    for placeholder, value in values.items():
        template = template.replace(placeholder, value)
    return template


def test_the_monitors_own_starts_are_requests() -> None:
    request = Request.read(Attempt("switchover", 7, 3, 120_000_000).asked("2027-01-15T08:00:00Z"), "run-1", WEST)
    assert (request.mode, request.automatic, request.epoch, request.attempt) == ("switchover", True, 7, 3)
    assert request.asked_at == 1_800_000_000.0


BASE = {"mode": "failover", "started_by": "ada"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "the execution's input is None; it must be a JSON object"),
        ([1], "the execution's input is [1]; it must be a JSON object"),
        ({}, "the execution's input: field 'mode' is missing; give one of failover, switchover, rehearsal"),
        (BASE | {"mode": "switch"}, "field 'mode' is 'switch'; give one of failover, switchover, rehearsal"),
        (BASE | {"mode": ["failover"]}, "field 'mode' is ['failover']; give one of failover, switchover, rehearsal"),
        ({"mode": "failover"}, "field 'started_by' is missing; give a text"),
        (BASE | {"started_by": ""}, "field 'started_by' is ''; give a text on one line, of 1 to 256 characters"),
        (BASE | {"started_by": "a\nb"}, "field 'started_by' is 'a\\nb'; give a text"),
        (BASE | {"started_by": 5}, "field 'started_by' is 5; give a text"),
        (BASE | {"started_by": "x" * 300}, "field 'started_by' is 'xxxx"),
        (BASE | {"automatic": 1}, "field 'automatic' is 1; give true or false"),
        (BASE | {"automatic": None}, "field 'automatic' is None; give true or false"),
        (BASE | {"incident": {}}, "field 'incident' is {}; give a text"),
        (BASE | {"target_region": "us-east-1"}, "start the workflow of us-east-1 instead, or leave the field out"),
        (BASE | {"resumes": ""}, "field 'resumes' is ''; give a text on one line, of 1 to 80 characters"),
        (BASE | {"resume": "run-0"}, "unknown field 'resume'; remove it, known are accept_data_loss, asked_at"),
        (BASE | {"accept_dataloss": True}, "unknown field 'accept_dataloss'; remove it, known are accept_data_loss"),
        (BASE | {"accept_data_loss": "yes"}, "field 'accept_data_loss' is 'yes'; give true or false"),
        (BASE | {"ignore_cool_down": 1}, "field 'ignore_cool_down' is 1; give true or false"),
        (BASE | {"ignore_wrong_clock": 1}, "field 'ignore_wrong_clock' is 1; give true or false"),
        (BASE | {"epoch": "7"}, "field 'epoch' is '7'; give a number"),
        (BASE | {"attempt": -1}, "field 'attempt' is -1; give a number from 0"),
        (BASE | {"asked_at": 1_800_000_000}, "field 'asked_at' is 1800000000; give a text that matches"),
        (BASE | {"asked_at": "2027-02-30T08:00:00Z"}, "'asked_at' is '2027-02-30T08:00:00Z': day is out of range"),
        (BASE | {"asked_at": "0001-01-01T00:00:00Z"}, "give a moment between 1970 and 2100"),
        (BASE | {"epoch": 1.5}, "field 'epoch' is 1.5; give a whole number"),
        (
            BASE | {"incident": "epoch 2"},
            "'incident' is 'epoch 2', as the automatic starts of an epoch are named; give",
        ),
        (BASE | {"automatic": True, "accept_data_loss": True}, "'accept_data_loss' is True in an automatic start"),
        (BASE | {"automatic": True, "ignore_wrong_clock": True}, "'ignore_wrong_clock' is True in an automatic start"),
        (BASE | {"started_by": "ada\nApproved"}, r"field 'started_by' is 'ada\nApproved'; give a text on one line"),
        (BASE | {"incident": "\u202egnidaelsim"}, "give a text on one line, of 1 to 256 characters that print"),
        (BASE | {"x" * 9000: 1}, "xxx…; remove it"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_input_is_answered_with_field_value_and_remedy(data: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        Request.read(data, "run-1", WEST)
    assert message in str(raised.value)


def test_a_long_value_does_not_flood_the_log() -> None:
    with pytest.raises(InvalidRequest) as raised:
        Request.read({"mode": "x" * 100_000}, "run-1", WEST)
    assert len(str(raised.value)) < 300
    assert "…" in str(raised.value)


@pytest.mark.parametrize("epoch", [0, -1, 2**53 + 1, 10**400, float("nan"), float("inf"), "1", None, [], True])
def test_a_claim_with_an_impossible_epoch_is_refused(epoch: Any) -> None:
    with pytest.raises(InvalidRequest, match="field 'epoch' is"):
        Step.read({"run": "run-1", "claim": CLAIM | {"epoch": epoch}})


@pytest.mark.parametrize("field", sorted(set(CLAIM) - {"resumes", "accept_data_loss", "heartbeat"}))
def test_a_claim_without_one_of_its_fields_is_refused(field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"field '{field}'"):
        Step.read({"run": "run-1", "claim": {key: value for key, value in CLAIM.items() if key != field}})
