"""The control record: who may take the lock, what the lock says, and where the writer switch sends clients."""

from __future__ import annotations

from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

import pytest

from handlers.core.claim import BUSY_S, LATEST_START_S, LOCK_SECONDS, Claim, decide_claim, lock_for
from handlers.core.control import ControlRecord, Pause, PersonsNo, Transition, WriterSign, writer_switch_engaged
from handlers.core.errors import InvalidRequest, Misconfigured
from handlers.core.heartbeat import Beat
from handlers.core.reading import Fields
from handlers.core.request import Request

EAST, WEST = "us-east-1", "us-west-2"
NOW = 1_800_000_000.0
COOL_DOWN_S = 1800.0

FREE = ControlRecord(writer_region=EAST, epoch=1, automatic_failover=True)
ALARM = Request(mode="failover", started_by="alarm", incident="run run-1", target_region=WEST, automatic=True)
PERSON = Request(mode="failover", started_by="ada", incident="run run-1", target_region=WEST)
REHEARSAL = replace(PERSON, mode="rehearsal")
SWITCHOVER = replace(PERSON, mode="switchover")


def held(by: str, *, seconds_left: float = 60.0) -> Transition:
    return Transition(by, "failover", "checking", "outage 6", WEST, started_at=NOW - 100, deadline=NOW + seconds_left)


# The last change of writer was an automatic failover, 100 s ago; a re-protection has made a new standby since.
FAILED_OVER = replace(FREE, epoch=2, last_run="run-0", last_incident="epoch 1", last_transition_at=NOW - 100)


NO = PersonsNo("ada", NOW - 100, "we wait for AWS")
PAUSE = Pause("ada", NOW - 100, NOW + 60, "an upgrade")


def moved(**more: Any) -> ControlRecord:
    return replace(FREE, writer_region=WEST, epoch=2, last_run="run-0", last_incident="outage 6", **more)


# What the record says, what is asked, the decision and a part of its reason. Rows stand in the order of the rules.
RULES = [
    ("a rehearsal beside a free lock", FREE, REHEARSAL, "proceed", "a rehearsal changes nothing"),
    ("a rehearsal beside a held lock", replace(FREE, transition=held("run-0")), REHEARSAL, "proceed", "needs no lock"),
    ("a rehearsal where the writer is", moved(), REHEARSAL, "proceed", "a rehearsal"),
    ("its own lock", replace(FREE, transition=held("run-1")), PERSON, "proceed", "holds the lock already"),
    (
        "its own old lock",
        replace(FREE, transition=held("run-1", seconds_left=-1)),
        PERSON,
        "proceed",
        "holds the lock already",
    ),
    (
        "its own work is done",
        replace(moved(), last_run="run-1"),
        PERSON,
        "duplicate",
        "this run has moved the writer to us-west-2",
    ),
    (
        "its own work is done and undone",
        replace(FREE, last_run="run-1"),
        PERSON,
        "duplicate",
        "this run has moved the writer",
    ),
    (
        "the writer is there",
        moved(),
        PERSON,
        "duplicate",
        "us-west-2 is the writer already (epoch 2, moved by run run-0)",
    ),
    (
        "the writer is there since the deployment",
        FREE,
        replace(PERSON, target_region=EAST),
        "duplicate",
        "us-east-1 is the writer already (epoch 1, as deployed)",
    ),
    (
        "the incident is over",
        replace(FREE, epoch=3, last_run="run-0", last_incident="outage 7"),
        replace(PERSON, incident="outage 7"),
        "duplicate",
        "run run-0 has handled this incident",
    ),
    (
        "there is no standby",
        replace(FREE, protected=False, last_run="run-0"),
        PERSON,
        "refused",
        "there is no standby since run run-0: us-west-2 cannot take over before it has been re-protected",
    ),
    ("a rehearsal without a standby", replace(FREE, protected=False), REHEARSAL, "proceed", "changes nothing"),
    (
        "a person resumes by name",
        replace(FREE, transition=held("run-0")),
        replace(PERSON, resumes="run-0"),
        "proceed",
        "takes over from run run-0, as ada asked",
    ),
    (
        "a person resumes by another name",
        replace(FREE, transition=held("run-0")),
        replace(PERSON, resumes="run-9"),
        "duplicate",
        "run run-0 is doing the work",
    ),
    ("another run works", replace(FREE, transition=held("run-0")), PERSON, "duplicate", '"resumes": "run-0"'),
    (
        "another run has held the lock for long, and nobody has heard of it",
        replace(FREE, transition=replace(held("run-0"), started_at=NOW - BUSY_S)),
        PERSON,
        "refused",
        '"resumes": "run-0"',
    ),
    (
        "the same incident, however long it takes",
        replace(FREE, transition=replace(held("run-0"), started_at=NOW - BUSY_S, incident="epoch 1")),
        ALARM,
        "duplicate",
        "run run-0 is doing the work",
    ),
    (
        "another run works until now",
        replace(FREE, transition=held("run-0", seconds_left=0)),
        PERSON,
        "duplicate",
        "doing the work",
    ),
    (
        "another run works and automatic failover is turned off",
        replace(FREE, automatic_failover=False, transition=held("run-0")),
        ALARM,
        "duplicate",
        "run run-0 is doing the work",
    ),
    (
        "paused and an alarm asks",
        replace(FREE, automatic_failover=False),
        ALARM,
        "refused",
        "automatic failover is turned off in the control record",
    ),
    (
        "an alarm asks in a pause",
        replace(FREE, paused=PAUSE),
        ALARM,
        "refused",
        "ada has paused automatic failover for 1 min more (an upgrade)",
    ),
    (
        "an alarm asks in a maintenance",
        replace(FREE, paused=replace(PAUSE, maintenance=True)),
        ALARM,
        "refused",
        "ada maintains the writer for 1 min more (an upgrade)",
    ),
    (
        "an alarm asks after a pause",
        replace(FREE, paused=replace(PAUSE, until=NOW)),
        ALARM,
        "proceed",
        "the lock was free",
    ),
    ("a person asks in a pause", replace(FREE, paused=PAUSE), PERSON, "proceed", "the lock was free"),
    ("paused and a person asks", replace(FREE, automatic_failover=False), PERSON, "proceed", "the lock was free"),
    (
        "paused, an old lock, and an alarm asks",
        replace(FREE, automatic_failover=False, transition=held("run-0", seconds_left=-1)),
        ALARM,
        "refused",
        "automatic failover is turned off",
    ),
    (
        "an old lock and an alarm asks",
        replace(FREE, transition=held("run-0", seconds_left=-1)),
        ALARM,
        "proceed",
        "takes over from run run-0, which ended",
    ),
    (
        "an old lock and a person asks",
        replace(FREE, transition=held("run-0", seconds_left=-1)),
        PERSON,
        "proceed",
        "which ended without",
    ),
    (
        "an alarm asks while the writer has just moved",
        FAILED_OVER,
        ALARM,
        "refused",
        "automatic ones stay off for 28 min 20 s more, then they begin by themselves; a person may start one now",
    ),
    (
        "an alarm asks at the end of the cool-down",
        replace(FAILED_OVER, last_transition_at=NOW - COOL_DOWN_S),
        ALARM,
        "proceed",
        "the lock was free",
    ),
    (
        "an alarm asks a moment before the end of the cool-down",
        replace(FAILED_OVER, last_transition_at=NOW - COOL_DOWN_S + 1),
        ALARM,
        "refused",
        "stay off for 1 s more",
    ),
    (
        "an alarm that is told to ignore the cool-down",
        FAILED_OVER,
        replace(ALARM, ignore_cool_down=True),
        "proceed",
        "the lock was free",
    ),
    (
        "a person asks while the writer has just moved",
        FAILED_OVER,
        PERSON,
        "proceed",
        "the lock was free",
    ),
    (
        "the cool-down does not hide an old lock from a person",
        replace(FAILED_OVER, transition=held("run-0", seconds_left=-1)),
        PERSON,
        "proceed",
        "takes over from run run-0, which ended",
    ),
    (
        "an old lock does not open the cool-down to an alarm",
        replace(FAILED_OVER, transition=held("run-0", seconds_left=-1)),
        ALARM,
        "refused",
        "a failover has just moved the writer",
    ),
    (
        "paused beats the cool-down, which may be ignored",
        replace(FAILED_OVER, automatic_failover=False),
        replace(ALARM, ignore_cool_down=True),
        "refused",
        "automatic failover is turned off",
    ),
    (
        "an alarm asks after a person has moved the writer",
        replace(FAILED_OVER, last_incident="run run-0"),
        ALARM,
        "proceed",
        "the lock was free",
    ),
    (
        "an alarm asks after a person has moved the writer back",
        replace(FAILED_OVER, epoch=3),
        ALARM,
        "proceed",
        "the lock was free",
    ),
    ("an automatic start of this epoch", FREE, replace(ALARM, epoch=1), "proceed", "the lock was free"),
    (
        "an automatic start of an epoch that has ended",
        replace(FREE, epoch=3),
        replace(ALARM, epoch=2),
        "duplicate",
        "it was started for epoch 2, and the writer is that of epoch 3",
    ),
    (
        "an automatic start that has been long on its way",
        FREE,
        replace(ALARM, asked_at=NOW - LATEST_START_S - 1),
        "duplicate",
        "its start has been on its way for 121 s; the monitor has looked again since",
    ),
    ("one that has not", FREE, replace(ALARM, asked_at=NOW - LATEST_START_S), "proceed", "the lock was free"),
    ("a person's may be older", FREE, replace(PERSON, asked_at=NOW - 10_000), "proceed", "the lock was free"),
    (
        "an alarm asks after a person's no",
        replace(FREE, ended_by_person=NO),
        ALARM,
        "refused",
        "ada has ended the automatic attempts of this epoch (we wait for AWS)",
    ),
    ("a person asks after a person's no", replace(FREE, ended_by_person=NO), PERSON, "proceed", "the lock was free"),
    (
        "a person asks while a late request may be on its way",
        replace(FREE, last_run="run-0", claims_from=NOW + 42),
        PERSON,
        "refused",
        "a request to RDS of run run-0 may still be on its way: wait 42 s more",
    ),
    (
        "an alarm asks while a late request may be on its way",
        replace(FREE, last_run="run-0", claims_from=NOW + 42),
        ALARM,
        "refused",
        "may still be on its way: wait 42 s more",
    ),
    ("a switchover of a free lock", FREE, SWITCHOVER, "proceed", "the lock was free"),
    (
        "a switchover while automatic failovers are paused",
        replace(FREE, automatic_failover=False),
        SWITCHOVER,
        "proceed",
        "the lock was free",
    ),
    (
        "a switchover beside a failover",
        replace(FREE, transition=held("run-0")),
        SWITCHOVER,
        "duplicate",
        "run run-0 is doing the work",
    ),
    ("a switchover to the writer", moved(), SWITCHOVER, "duplicate", "us-west-2 is the writer already"),
    (
        "a failover resumes a switchover",
        replace(FREE, transition=replace(held("run-0"), mode="switchover")),
        replace(PERSON, resumes="run-0"),
        "proceed",
        "takes over from run run-0",
    ),
    ("nothing stands against it", FREE, ALARM, "proceed", "the lock was free"),
    ("nothing to resume", FREE, replace(PERSON, resumes="run-0"), "proceed", "the lock was free"),
]


@pytest.mark.parametrize(
    ("record", "request_", "decision", "reason"), [row[1:] for row in RULES], ids=[row[0] for row in RULES]
)
def test_p2_rule(record: ControlRecord, request_: Request, decision: str, reason: str) -> None:
    claim = decide_claim(record, request_, "run-1", NOW, COOL_DOWN_S)
    assert claim.decision == decision
    assert reason in claim.reason


@pytest.mark.parametrize("asked", [ALARM, PERSON], ids=["an alarm", "a person"])
@pytest.mark.parametrize("phase", ["checking", "stopping", "moving"])
def test_p9_the_lock_of_a_run_that_is_over_is_taken_over_at_once(asked: Request, phase: Any) -> None:
    record = replace(FREE, transition=replace(held("run-0"), phase=phase))
    claim = decide_claim(record, asked, "run-1", NOW, COOL_DOWN_S, holder_is_over=True)
    assert (claim.decision, claim.reason) == (
        "proceed",
        "takes over from run run-0, which ended without giving the lock back",
    )


@pytest.mark.parametrize("known", [None, False])
def test_p2_where_that_is_not_known_the_deadline_decides(known: bool | None) -> None:
    for seconds_left, decision in ((1, "duplicate"), (-1, "proceed")):
        record = replace(FREE, transition=held("run-0", seconds_left=seconds_left))
        assert decide_claim(record, ALARM, "run-1", NOW, COOL_DOWN_S, holder_is_over=known).decision == decision


@pytest.mark.parametrize(
    "more",
    [{"automatic_failover": False}, {"paused": PAUSE}, {"ended_by_person": NO}],
    ids=["turned off", "a pause", "a person's no"],
)
def test_p9_a_pause_is_for_beginnings(more: Any) -> None:
    """What RDS has been asked for is finished, though the run that asked has died."""
    begun = replace(held("run-0"), phase="moving", move_requests=1)
    record = replace(FAILED_OVER, transition=begun, **more)
    assert decide_claim(record, ALARM, "run-1", NOW, COOL_DOWN_S, holder_is_over=True).decision == "proceed"
    not_asked = replace(record, transition=replace(begun, move_requests=0))
    assert decide_claim(not_asked, ALARM, "run-1", NOW, COOL_DOWN_S, holder_is_over=True).decision == "refused"


def test_p9_the_claim_names_the_incident_of_every_automatic_start() -> None:
    """So that the alarm's, the event's and the monitor's starts are one outage, and the next epoch's is another."""
    for asked in (ALARM, replace(ALARM, incident="writer-down"), replace(ALARM, epoch=1, attempt=4)):
        assert decide_claim(FREE, asked, "run-1", NOW, COOL_DOWN_S).incident == "epoch 1"
    assert decide_claim(FREE, PERSON, "run-1", NOW, COOL_DOWN_S).incident == "run run-1"


def test_p9_a_switchover_that_automation_finishes_is_not_followed_by_a_cool_down() -> None:
    record = replace(FREE, transition=replace(held("run-0"), mode="switchover", phase="moving", incident="run run-0"))
    asked = replace(ALARM, mode="switchover")
    claim = decide_claim(record, asked, "run-1", NOW, COOL_DOWN_S, holder_is_over=True)
    assert (claim.mode, claim.incident) == ("switchover", "run run-0")


def test_p10_automation_begins_no_switchover_of_its_own() -> None:
    """It was started to finish one; by the time of its claim that run had given the lock, and the writer, back."""
    claim = decide_claim(FREE, replace(ALARM, mode="switchover", epoch=1), "attempt-1-1", NOW, COOL_DOWN_S)
    assert (claim.decision, "given the lock back" in claim.reason) == ("duplicate", True)


def test_p5_a_failover_that_was_taken_over_never_becomes_a_switchover() -> None:
    record = replace(FREE, transition=replace(held("run-0"), phase="moving"))
    assert decide_claim(record, replace(SWITCHOVER, resumes="run-0"), "run-1", NOW, COOL_DOWN_S).mode == "failover"


def test_a_claim_carries_what_later_steps_need() -> None:
    record = replace(FREE, epoch=7, heartbeat=Beat(41, NOW - 2), lease_expires_at=NOW - 1)
    asked = replace(ALARM, resumes="run-0", accept_data_loss=True, attempt=3, ignore_wrong_clock=True)
    claim = decide_claim(record, asked, "run-1", NOW, COOL_DOWN_S)
    assert asdict(claim) == {
        "decision": "proceed",
        "reason": "the lock was free",
        "run": "run-1",
        "mode": "failover",
        "started_by": "alarm",
        "incident": "epoch 7",
        "writer_region": EAST,
        "target_region": WEST,
        "epoch": 7,
        "resumes": "run-0",
        "accept_data_loss": True,
        "heartbeat": {"seq": 41, "at": NOW - 2},
        "only_forward": False,
        "continues": False,
        "lease_expires_at": NOW - 1,
        "attempt": 3,
        "ignore_wrong_clock": True,
    }


@pytest.mark.parametrize("resumes", [None, "run-0"])
@pytest.mark.parametrize("heartbeat", [None, Beat(41, NOW - 2.25)])
@pytest.mark.parametrize("asked", [PERSON, SWITCHOVER, REHEARSAL, replace(PERSON, accept_data_loss=True)])
def test_a_claim_survives_its_way_through_the_workflow(
    resumes: str | None, heartbeat: Beat | None, asked: Request
) -> None:
    record = replace(FREE, heartbeat=heartbeat)
    claim = decide_claim(record, replace(asked, resumes=resumes), "run-1", NOW, COOL_DOWN_S)
    assert Claim.read(Fields(asdict(claim), "the event", InvalidRequest)) == claim


MOVING = replace(
    held("run-0"),
    mode="switchover",
    phase="moving",
    stopping_until=NOW - 60,
    dns_engaged=True,
    move_requests=1,
    asked_at=NOW - 70,
    replicated_xid=1234,
    moving_since=NOW - 75,
    writer_sign=WriterSign(NOW - 2, "up", fenced=True),
)


def test_p1_a_run_that_takes_over_knows_that_there_is_only_the_way_forward() -> None:
    record = replace(FREE, transition=MOVING)
    assert decide_claim(record, replace(PERSON, resumes="run-0"), "run-1", NOW, COOL_DOWN_S).only_forward
    not_asked = replace(record, transition=replace(MOVING, move_requests=0))
    assert not decide_claim(not_asked, replace(PERSON, resumes="run-0"), "run-1", NOW, COOL_DOWN_S).only_forward


def test_p1_a_first_lock_begins_with_looking_and_remembers_the_lease_it_saw() -> None:
    record = replace(FREE, lease_expires_at=NOW + 7.5)
    assert lock_for(decide_claim(record, ALARM, "run-1", NOW, COOL_DOWN_S), record, NOW) == Transition(
        run="run-1",
        mode="failover",
        phase="checking",
        incident="epoch 1",
        target_region=WEST,
        started_at=NOW,
        deadline=NOW + LOCK_SECONDS,
        seen_lease=NOW + 7.5,
        dns_engaged=False,
        move_requests=0,
    )


@pytest.mark.parametrize(
    "before",
    [held("run-0"), replace(held("run-0"), phase="moving"), replace(held("run-0"), dns_engaged=True), MOVING],
    ids=["looked", "moved", "engaged", "asked to detach"],
)
def test_p3_a_lock_that_is_taken_over_keeps_what_the_other_run_has_begun(before: Transition) -> None:
    record = replace(FREE, transition=before, lease_expires_at=NOW - 20)
    claim = decide_claim(record, replace(PERSON, resumes="run-0"), "run-1", NOW, COOL_DOWN_S)
    assert lock_for(claim, record, NOW) == replace(
        before,
        run="run-1",
        mode="failover",
        incident="run run-1",
        started_at=NOW,
        deadline=NOW + LOCK_SECONDS,
        seen_lease=NOW - 20,
    )


@pytest.mark.parametrize(
    ("transition", "moving"),
    [(None, None), (held("run-0"), None), (MOVING, MOVING), (replace(MOVING, mode="failover"), "failover")],
    ids=["free", "looking", "a switchover moves", "a failover moves"],
)
def test_a_record_knows_the_run_that_has_committed_to_move(transition: Transition | None, moving: Any) -> None:
    record = replace(FREE, transition=transition)
    assert record.moving == (transition if moving else None)


SWITCH = [
    ("the writer is there", FREE, EAST, True),
    ("the writer is elsewhere", FREE, WEST, False),
    ("a run has just begun", replace(FREE, transition=held("run-1")), WEST, False),
    ("a run has just begun, seen from the writer", replace(FREE, transition=held("run-1")), EAST, True),
    (
        "a run is moving the writer there",
        replace(FREE, transition=replace(held("run-1"), dns_engaged=True)),
        WEST,
        True,
    ),
    (
        "a run is moving the writer away",
        replace(FREE, transition=replace(held("run-1"), dns_engaged=True)),
        EAST,
        False,
    ),
    (
        "a run is moving the writer back",
        moved(transition=replace(held("run-1"), target_region=EAST, dns_engaged=True)),
        WEST,
        False,
    ),
    ("the writer has moved", moved(), WEST, True),
    ("the writer has moved away", moved(), EAST, False),
]


@pytest.mark.parametrize(("record", "region", "engaged"), [row[1:] for row in SWITCH], ids=[row[0] for row in SWITCH])
def test_p1_the_switch_sends_clients_to_one_region(record: ControlRecord, region: str, engaged: bool) -> None:
    assert writer_switch_engaged(record, region) is engaged
    # Whatever one region says, the other says the opposite: never both, never neither.
    assert writer_switch_engaged(record, EAST) is not writer_switch_engaged(record, WEST)


ITEM: dict[str, Any] = {"database": "payments", "writer_region": EAST, "epoch": Decimal(3)}
LOCK_ITEM: dict[str, Any] = {
    "run": "run-1",
    "mode": "failover",
    "phase": "checking",
    "incident": "outage 7",
    "target_region": WEST,
    "started_at": Decimal("1800000000.25"),
    "deadline": Decimal(1800000900),
}


def test_an_item_is_read_as_it_stands_in_the_table() -> None:
    item = ITEM | {
        "transition": LOCK_ITEM,
        "automatic_failover": False,
        "lease_expires_at": Decimal("1800000010.5"),
        "heartbeat": {"seq": Decimal(41), "at": Decimal("1800000000.5")},
        "unfenced_region": EAST,
        "last_run": "run-0",
        "last_incident": "outage 6",
        "last_transition_at": Decimal(1_799_999_000),
    }
    assert ControlRecord.read(item) == ControlRecord(
        writer_region=EAST,
        epoch=3,
        automatic_failover=False,
        transition=Transition("run-1", "failover", "checking", "outage 7", WEST, 1800000000.25, 1800000900.0),
        lease_expires_at=1800000010.5,
        heartbeat=Beat(41, 1800000000.5),
        unfenced_region=EAST,
        last_run="run-0",
        last_incident="outage 6",
        last_transition_at=1_799_999_000.0,
    )


def test_a_lock_is_read_with_all_that_was_noted_in_it() -> None:
    noted = {
        "mode": "switchover",
        "phase": "moving",
        "seen_lease": Decimal("1799999999.5"),
        "stopping_until": Decimal("1800000020.5"),
        "dns_engaged": True,
        "move_requests": Decimal(2),
    }
    assert ControlRecord.read(ITEM | {"transition": LOCK_ITEM | noted}).transition == Transition(
        run="run-1",
        mode="switchover",
        phase="moving",
        incident="outage 7",
        target_region=WEST,
        started_at=1800000000.25,
        deadline=1800000900.0,
        seen_lease=1799999999.5,
        stopping_until=1800000020.5,
        dns_engaged=True,
        move_requests=2,
    )


def test_a_lease_that_was_given_up_is_not_one_that_was_never_taken() -> None:
    assert ControlRecord.read(ITEM | {"lease_expires_at": Decimal(0)}).lease_expires_at == 0
    assert ControlRecord.read(ITEM).lease_expires_at is None


def test_automatic_failover_is_on_unless_the_item_says_otherwise() -> None:
    assert ControlRecord.read(ITEM).automatic_failover is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"writer_region": None}, "the control record: field 'writer_region' is missing; give a text"),
        ({"epoch": Decimal(0)}, "field 'epoch' is Decimal('0'); give a number from 1 to"),
        ({"epoch": "3"}, "field 'epoch' is '3'; give a number"),
        ({"epoch": True}, "field 'epoch' is True; give a number"),
        ({"automatic_failover": "yes"}, "field 'automatic_failover' is 'yes'; give true or false"),
        ({"transition": "run-1"}, "the control record, transition is 'run-1'; it must be a JSON object"),
        ({"transition": LOCK_ITEM | {"run": None}}, "the control record, transition: field 'run' is missing"),
        (
            {"transition": LOCK_ITEM | {"deadline": Decimal(1_800_000_000_000)}},
            "field 'deadline' is Decimal('1800000000000')",
        ),
        ({"last_run": 5}, "field 'last_run' is 5; give a text"),
        ({"transition": LOCK_ITEM | {"phase": "gone"}}, "field 'phase' is 'gone'; give one of checking, stopping"),
        ({"transition": LOCK_ITEM | {"mode": "x"}}, "field 'mode' is 'x'; give one of failover, switchover, rehearsal"),
        ({"lease_expires_at": "soon"}, "field 'lease_expires_at' is 'soon'; give a number"),
        ({"lease_expires_at": Decimal(-1)}, "field 'lease_expires_at' is Decimal('-1')"),
        ({"lease_expires_at": Decimal(1_800_000_000_000)}, "field 'lease_expires_at' is Decimal('1800000000000')"),
        ({"heartbeat": {"seq": Decimal(1)}}, "the control record, heartbeat: field 'at' is None; give a number"),
        ({"heartbeat": 5}, "the control record, heartbeat is 5; it must be a JSON object"),
        ({"unfenced_region": ""}, "field 'unfenced_region' is ''; give a text"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_item_that_cannot_be_understood_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        ControlRecord.read(ITEM | change)
    assert message in str(raised.value)
