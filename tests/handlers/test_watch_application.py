"""After the writer has moved: is the application well, by its own alarms? Nothing of it changes the run."""

from __future__ import annotations

from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import ClientError

from handlers.core.application import LOOK_EVERY_S, SETTLES_S, WATCH_FOR_S, Seen, message
from handlers.core.errors import FailoverError, InvalidRequest
from handlers.core.message import Message
from handlers.gateways import notifications
from handlers.gateways.notifications import Notification
from orchestration.settings import SettingsError, load
from orchestration.specification import describe
from orchestration.specification.model import Region
from tests.deployment.functions import Context, load_step, variables
from tests.deployment.regions import STANDBY, WRITER

ACCOUNT = "123456789012"
EVENT = {"detail-type": "WriterMoved", "detail": {"run": "run-1", "epoch": 2}}
OK, RINGS = {"errors": "OK", "latency": "OK"}, {"errors": "ALARM", "latency": "OK"}
SILENT = {"errors": "INSUFFICIENT_DATA", "latency": "OK"}
UNHEALTHY, UNKNOWN = "RECOVERED, APPLICATION UNHEALTHY", "RECOVERED, APPLICATION NOT KNOWN"
HEALTHY = "APPLICATION HEALTHY"
DENIED = ClientError({"Error": {"Code": "AccessDenied"}}, "DescribeAlarms")


def region(*alarms: str) -> Region:
    settings = load(environment_suffix="test", environment="development", application_alarms=alarms)
    return describe(settings, ACCOUNT).regions[STANDBY]


def test_without_alarms_nothing_is_deployed_for_them() -> None:
    assert "watch_application" not in region().functions
    assert region().application_rule is None


def test_the_application_is_watched_when_the_writer_of_this_deployment_has_moved() -> None:
    rule = region("errors").application_rule
    assert rule is not None
    assert rule.event_pattern == {
        "source": ["failover.orchestrator"],
        "detail-type": ["WriterMoved"],
        "detail": {"global_cluster": ["payments-global-test"]},
    }
    function = region("errors").functions["watch_application"]
    assert {one.actions: one.resources for one in function.permissions if one.actions != ("sns:Publish",)} == {
        ("cloudwatch:DescribeAlarms",): ("*",),
        ("dynamodb:UpdateItem",): (f"arn:aws:dynamodb:{STANDBY}:{ACCOUNT}:table/failover-runs-usw2-test",),
        ("dynamodb:GetItem",): (f"arn:aws:dynamodb:{STANDBY}:{ACCOUNT}:table/failover-control-test",),
    }
    assert SETTLES_S + LOOK_EVERY_S < WATCH_FOR_S < function.timeout_seconds < 900  # Lambda's longest


@pytest.mark.parametrize("bad", ["", "a,b", "arn:aws:cloudwatch:us-west-2:1:alarm:x", "x" * 256])
def test_an_alarm_that_cannot_be_one_is_refused(bad: str) -> None:
    with pytest.raises(SettingsError, match="application_alarms"):
        region(bad)


class Watched:
    """The function with alarms that say these things, one after another, and then the last; its time is the test's."""

    def __init__(self, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[dict[str, str] | Exception] = []
        self.said: list[Message] = []
        self.noted: list[tuple[str, str]] = []
        self.now = 0.0
        self._module = module
        monkeypatch.setattr(module, "CLOUDWATCH", mock.Mock(describe_alarms=self._describe))
        self.leaves_at = WATCH_FOR_S + 1  # when the writer leaves the region again
        monkeypatch.setattr(module, "CONTROL", mock.Mock(read=self._read))
        monkeypatch.setattr(module, "RUNS", mock.Mock(note_application=self._note))
        monkeypatch.setattr(module, "time", mock.Mock(monotonic=lambda: self.now, sleep=self._sleep))
        monkeypatch.setattr(notifications, "publish_to_all", self._publish)

    def _read(self) -> Any:
        return mock.Mock(writer_region=STANDBY if self.now < self.leaves_at else WRITER)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def _note(self, run: str, health: str) -> None:
        self.noted.append((run, health))

    def _publish(self, _: Any, said: Message) -> Notification:
        self.said.append(said)
        return Notification([], {})

    def _describe(self, *, AlarmNames: list[str], AlarmTypes: list[str]) -> dict[str, Any]:  # noqa: N803 - boto3's
        assert (AlarmNames, AlarmTypes) == (["errors", "latency"], ["MetricAlarm", "CompositeAlarm"])
        if len(self.answers) > 1 and self.now > self._at_first > 0:
            self.answers.pop(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        kinds = {"MetricAlarms": ["errors"], "CompositeAlarms": ["latency"]}
        return {
            kind: [{"AlarmName": name, "StateValue": answer[name]} for name in names if name in answer]
            for kind, names in kinds.items()
        }

    def play(self, *answers: dict[str, str] | Exception, at_first: float = 0.0) -> list[str]:
        """Returns the subjects of what people are told; the first answer holds until ``at_first`` at least (s)."""
        self.answers, self._at_first = [*answers], at_first
        self._module.handler(EVENT, Context("watch-application", 800))
        return [one.subject.partition(":")[0] for one in self.said]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    function = region("errors", "latency").functions["watch_application"]
    with mock.patch.dict("os.environ", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x"):
        return Watched(load_step(function.module, variables(function, STANDBY)), monkeypatch)


def test_nobody_is_told_of_an_application_that_is_well(watched: Watched) -> None:
    assert watched.play(RINGS, OK, at_first=SETTLES_S - 1) == []  # alarms of the outage itself have had their time
    assert watched.noted == []


def test_the_application_is_watched_for_the_whole_time_however_well_it_is(watched: Watched) -> None:
    """An alarm takes minutes to ring: one that rings after the first look counts."""
    assert watched.play(OK, OK, RINGS, OK) == [UNHEALTHY, HEALTHY]
    assert watched.noted == [("run-1", "unhealthy"), ("run-1", "healthy")]
    assert WATCH_FOR_S - LOOK_EVERY_S <= watched.now <= WATCH_FOR_S


def test_people_are_told_once_that_the_application_is_not_well_and_once_when_it_is(watched: Watched) -> None:
    assert watched.play(RINGS, RINGS, OK) == [UNHEALTHY, HEALTHY]
    assert watched.noted == [("run-1", "unhealthy"), ("run-1", "healthy")]
    assert "in alarm: errors" in watched.said[0].text
    assert "failoverctl report run-1 --suffix test" in watched.said[0].text


def test_an_application_that_stays_unwell_is_told_of_once_and_stays_so_in_the_record(watched: Watched) -> None:
    assert watched.play(RINGS) == [UNHEALTHY]
    assert watched.noted == [("run-1", "unhealthy")]
    assert WATCH_FOR_S - LOOK_EVERY_S <= watched.now <= WATCH_FOR_S


@pytest.mark.parametrize("answer", [DENIED, {"errors": "OK"}, {}, SILENT])
def test_what_nobody_can_see_is_not_called_well(answer: Any, watched: Watched) -> None:
    """It is noted for as long as it lasts; people are told of what has lasted until the end."""
    assert watched.play(OK, answer, OK) == []
    assert watched.noted == [("run-1", "unknown"), ("run-1", "healthy")]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (DENIED, "check the function's permissions"),
        ({"errors": "OK"}, "not there: latency"),
        (SILENT, "no data: errors"),
    ],
)
def test_what_nobody_could_see_until_the_end_is_told_of_once(answer: Any, words: str, watched: Watched) -> None:
    assert watched.play(answer) == [UNKNOWN]
    assert watched.noted == [("run-1", "unknown")]
    assert words in watched.said[0].text
    assert "look at the application yourself" in watched.said[0].text


@pytest.mark.parametrize("answer", [DENIED, SILENT, {"latency": "OK"}])
def test_an_alarm_that_rang_and_says_nothing_any_more_is_not_over(answer: Any, watched: Watched) -> None:
    """A dead application publishes nothing."""
    assert watched.play(RINGS, answer) == [UNHEALTHY]
    assert watched.noted == [("run-1", "unhealthy")]


def test_an_alarm_that_rings_counts_beside_one_that_is_not_there(watched: Watched) -> None:
    assert watched.play({"errors": "ALARM"}, OK)[0] == UNHEALTHY
    assert "in alarm: errors; not there: latency" in watched.said[0].text


def test_people_are_told_although_the_record_cannot_be_changed(watched: Watched) -> None:
    watched._module.RUNS.note_application = mock.Mock(side_effect=FailoverError("away"))
    assert watched.play(RINGS, OK) == [UNHEALTHY, HEALTHY]


def test_alarms_of_a_region_that_the_writer_has_left_again_say_nothing_of_the_run(watched: Watched) -> None:
    watched.leaves_at = SETTLES_S + 1.5 * LOOK_EVERY_S
    assert watched.play(OK, OK, RINGS) == []
    assert watched.noted == []
    assert watched.now < SETTLES_S + 3 * LOOK_EVERY_S


def test_the_application_is_watched_although_nobody_knows_where_the_writer_is(watched: Watched) -> None:
    watched._module.CONTROL.read = mock.Mock(side_effect=FailoverError("away"))
    assert watched.play(RINGS, OK) == [UNHEALTHY, HEALTHY]


def test_an_event_without_a_run_is_refused(watched: Watched) -> None:
    with pytest.raises(InvalidRequest):
        watched._module.handler({"detail": {}}, Context("watch-application", 800))


def test_a_message_says_what_is_left_to_do() -> None:
    seen = Seen.of(["errors"], {"errors": "OK"})
    text = message(seen.health, seen.words, "run-1", "arn:aws:sns:us-west-2:1:failover-notifications-usw2-test").text
    assert "Nothing is left to do." in text
    assert "no alarm rings" in text
