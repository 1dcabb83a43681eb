"""After a failover the new writer has at least what the old one used; nothing waits for that."""

from __future__ import annotations

from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from handlers.core.capacity import Bounds, message, raised
from handlers.core.errors import Misconfigured, TransientFailure
from handlers.core.message import Message
from handlers.gateways import notifications
from handlers.gateways.notifications import Notification
from orchestration.settings import SettingsError, load
from orchestration.specification import describe
from orchestration.specification.model import Region
from tests.deployment.functions import Context, load_step, variables
from tests.deployment.regions import STANDBY
from tests.infrastructure.existing import existing

ACCOUNT = "123456789012"
EVENT = {"detail-type": "WriterMoved", "detail": {"run": "run-1", "mode": "failover"}}
ARN = f"arn:aws:rds:{STANDBY}:{ACCOUNT}:cluster:payments-usw2-test"
BUSY = TransientFailure("RDS is still working on it")


def region(**database: Any) -> Region:
    settings = load(environment_suffix="test", environment="development", database=database)
    return describe(settings, ACCOUNT).regions[STANDBY]


@pytest.mark.parametrize(
    ("used", "floor", "least"),
    [
        (6.2, 0.5, 6.5),  # in steps of half an ACU
        (6.0, 0.5, 6.0),
        (40.0, 0.5, 16.0),  # as much as there may be
        (None, 4.0, 4.0),  # nobody can tell: what the settings give a writer
        (1.0, 4.0, 4.0),
        (2.0, 0.5, None),  # it has as much
        (1.0, 0.5, None),  # nothing is lowered
        (None, 0.5, None),
    ],
)
def test_the_least_follows_the_old_writer_and_is_never_lowered(
    used: float | None, floor: float, least: float | None
) -> None:
    assert raised(Bounds(2.0, 16.0), used, floor) == (None if least is None else Bounds(least, 16.0))


def test_only_settings_that_ask_for_it_have_a_cluster_changed() -> None:
    assert "follow_capacity" not in region().functions
    assert region().capacity_rule is None
    asked = region(capacity_follows=True)
    assert asked.capacity_rule is not None
    assert asked.capacity_rule.event_pattern == {
        "source": ["failover.orchestrator"],
        "detail-type": ["WriterMoved"],
        "detail": {"global_cluster": ["payments-global-test"], "mode": ["failover"]},
    }
    may = {one.actions: one.resources for one in asked.functions["follow_capacity"].permissions}
    assert may[("rds:DescribeDBClusters", "rds:ModifyDBCluster")] == (ARN,)


def test_a_database_that_is_not_ours_is_not_changed() -> None:
    with pytest.raises(SettingsError, match="capacity_follows would change a database that is not ours"):
        load(environment_suffix="test", database={"capacity_follows": True}, existing=existing())


class Played:
    """The function, with what RDS and CloudWatch answer it."""

    def __init__(self, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[Message] = []
        self.clusters = mock.Mock()
        self.clusters.capacity.return_value = Bounds(0.5, 16.0)
        self.used = mock.Mock(return_value=6.2)
        self.control = mock.Mock()
        self.control.read.return_value = mock.Mock(writer_region=STANDBY, transition=None)
        self.time = mock.Mock()
        self._module = module
        monkeypatch.setattr(module, "CLUSTERS", self.clusters)
        monkeypatch.setattr(module, "CONTROL", self.control)
        monkeypatch.setattr(module, "used_acu", self.used)
        monkeypatch.setattr(module, "time", self.time)
        monkeypatch.setattr(notifications, "publish_to_all", self._publish)

    def _publish(self, _: Any, said: Message) -> Notification:
        self.said.append(said)
        return Notification([], {})

    def play(self, *answers: Exception | None) -> float | None:
        self.clusters.set_capacity.side_effect = answers
        result: float | None = self._module.handler(EVENT, Context("follow-capacity", 600))["raised_to"]
        return result


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    function = region(capacity_follows=True, min_capacity=3.5).functions["follow_capacity"]
    with mock.patch.dict("os.environ", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x"):
        return Played(load_step(function.module, variables(function, STANDBY)), monkeypatch)


def test_the_new_writer_is_given_what_the_old_one_used(played: Played) -> None:
    assert played.play(None) == 6.5
    played.clusters.set_capacity.assert_called_once_with("payments-usw2-test", Bounds(6.5, 16.0))
    (said,) = played.said
    assert said.subject == "CAPACITY RAISED: its least is 6.5 ACU now, from 0.5"
    assert "What the old writer used in the hour before was 6.2 ACU at most." in said.text
    assert "failoverctl show run-1 --suffix test" in said.text


def test_where_the_old_region_is_dark_the_settings_decide(played: Played) -> None:
    played.used.side_effect = TransientFailure("no answer")
    assert played.play(None) == 3.5
    assert "is not known" in played.said[0].text


def test_rds_is_asked_again_while_it_is_busy_with_the_promotion(played: Played) -> None:
    assert played.play(BUSY, BUSY, None) == 6.5
    assert played.time.sleep.call_count == 2


def test_rds_is_asked_again_what_there_is_while_it_does_not_say(played: Played) -> None:
    played.clusters.capacity.side_effect = [TransientFailure("no answer"), Bounds(0.5, 16.0)]
    assert played.play(None) == 6.5


def test_p9_rds_is_not_made_busy_for_a_run_that_has_the_lock(played: Played) -> None:
    """A detach or a switchover that meets a cluster at work is refused."""
    locked, free = mock.Mock(writer_region=STANDBY, transition=mock.Mock(run="run-2")), played.control.read.return_value
    played.control.read.side_effect = [locked, locked, free]
    played.time.sleep.side_effect = lambda _: played.clusters.set_capacity.assert_not_called()
    assert played.play(None) == 6.5
    assert played.time.sleep.call_count == 2


def test_p9_a_cluster_that_is_the_writer_no_longer_is_left_alone(played: Played) -> None:
    played.control.read.return_value = mock.Mock(writer_region="us-east-1", transition=None)
    assert played.play() is None
    played.clusters.set_capacity.assert_not_called()
    assert "Error: the writer is in us-east-1 again" in played.said[0].text


@pytest.mark.parametrize(("answers", "asked"), [([BUSY] * 20, 20), ([Misconfigured("no right to")], 1)])
def test_people_are_told_what_could_not_be_raised(answers: list[Exception], asked: int, played: Played) -> None:
    assert played.play(*answers) is None
    assert played.clusters.set_capacity.call_count == asked
    (said,) = played.said
    assert said.subject == "CAPACITY NOT RAISED: it should be 6.5 ACU"
    assert f"Error: {answers[0]}" in said.text


@pytest.mark.parametrize("bounds", [Bounds(8.0, 16.0), None])
def test_a_cluster_with_enough_or_without_bounds_is_left_alone(bounds: Bounds | None, played: Played) -> None:
    played.clusters.capacity.return_value = bounds
    assert played.play() is None
    assert played.said == []


def test_a_message_names_no_error_where_there_is_none() -> None:
    text = message(ARN, Bounds(0.5, 16), Bounds(2, 16), 2.0, None, "run-1").text
    assert "Error" not in text
    assert "until you lower it" in text
