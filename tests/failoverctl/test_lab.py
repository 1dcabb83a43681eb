"""``failoverctl --lab``: the same program on the lab's AWS, from another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drills.aws.cloud import ACCOUNT, Cloud
from drills.script.person import Person
from drills.world.clock import Clock
from drills.world.reachability import Fault
from failoverctl import lab
from failoverctl.deployment import LOOK_S, READ_TIMEOUT_S
from failoverctl.errors import CannotTell
from failoverctl.lab import RunningLab
from failoverctl.together import ask_each
from handlers.core.control import Transition
from handlers.core.lease import LEASE_S
from handlers.gateways import items
from handlers.gateways.aws import CONNECT_TIMEOUT_S
from orchestration.settings import PROJECT_ROOT, load
from orchestration.specification import Specification, describe
from tests.drills.no_databases import cloud_without_databases

WRITER, STANDBY = "us-east-1", "us-west-2"
# Ends a test that would otherwise wait for ever.
PATIENCE_S = 60.0
# What `status` takes at most while a region hangs, in s.
HANGING_S = 3.0


@dataclass(frozen=True)
class Lab:
    """A lab without databases, and the folder in which it says that it runs."""

    cloud: Cloud
    folder: Path
    specification: Specification

    def renew(self, **more: Any) -> None:
        """The writer's guardian renews its lease; nothing else is in the record but ``more``."""
        lease = {"lease_expires_at": {"N": repr(time.time() + LEASE_S)}}
        record = {**self.specification.first_control_record, **lease, **more}
        self.cloud.client("dynamodb", WRITER).put_item(TableName=self.specification.control_table.name, Item=record)

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "failoverctl", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "AWS_PROFILE": "of-a-person"},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    settings = load(environment_suffix="test", database={"port": 5433})
    specification = describe(settings, ACCOUNT)
    clock = Clock.started_now(1.0)
    with cloud_without_databases(specification, folder, clock) as cloud:
        RunningLab(cloud.endpoint, os.getpid(), settings.model_dump(mode="json")).announce(folder)
        yield Lab(cloud, folder, specification)


def test_the_lab_is_found_and_its_settings_with_it(running: Lab) -> None:
    running.renew()
    said = running.ctl("--lab", "status")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("If us-east-1 died now: automatic failover to us-west-2")


def test_commands_in_the_lab_lead_to_the_lab(running: Lab) -> None:
    running.renew()
    said = running.ctl("show", "no-such-run", "--lab")
    assert said.returncode == 1
    assert "`failoverctl --lab runs` lists the last ones" in said.stderr


def test_an_order_reaches_the_lab(running: Lab) -> None:
    held = Transition("run-1", "failover", "checking", "epoch 1", STANDBY, time.time(), time.time() + 1800)
    running.renew(transition=items.typed(held.stored()))
    said = running.ctl("hold", "--yes", "--lab")
    assert said.returncode == 0, said.stderr
    assert json.loads(running.ctl("status", "--lab", "--json").stdout)["lock"]["wanted"] == "hold"


def test_the_person_at_a_drill_calls_the_program_on_their_own_lab(running: Lab) -> None:
    """Whatever other lab says in the project's folder that it runs."""
    held = Transition("run-1", "failover", "checking", "epoch 1", STANDBY, time.time(), time.time() + 1800)
    running.renew(transition=items.typed(held.stored()))
    told: list[str] = []
    timeline: Any = SimpleNamespace(event=lambda _, text: told.append(text))
    said = Person("yes", running.folder / lab.LAB_FILE, timeline).call("failoverctl hold --suffix test")
    assert said == {"run": "run-1", "wanted": "hold", "phase": "checking"}
    assert told == ["the person on call: failoverctl hold --suffix test"]


@pytest.mark.parametrize("region", [WRITER, STANDBY])
def test_a_region_that_hangs_is_named_and_the_other_one_tells(running: Lab, region: str) -> None:
    running.renew()
    running.cloud.take_down(region, Fault.HANG)
    said = running.ctl("--lab", "status")
    running.cloud.bring_back(region)
    assert said.returncode == 0, said.stderr
    assert f"No answer    {region} (" in said.stdout


def test_nobody_waits_for_a_region_that_hangs() -> None:
    """However long it hangs; a call's own time limits add up to less than 3 s."""
    never = threading.Event()

    def ask(region: str) -> str:
        if region == WRITER:
            never.wait()
        return region

    began = time.monotonic()
    assert [answered.get() for answered in ask_each((WRITER, STANDBY), ask, 0.2)] == [STANDBY]
    assert time.monotonic() - began < PATIENCE_S
    never.set()
    assert CONNECT_TIMEOUT_S + READ_TIMEOUT_S <= LOOK_S < HANGING_S


# --- the file


def test_no_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "PROJECT_ROOT", tmp_path)
    with pytest.raises(CannotTell, match="no lab runs here; start one in another terminal"):
        lab.find()


def test_a_lab_that_is_gone_is_no_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "PROJECT_ROOT", tmp_path)
    RunningLab("http://127.0.0.1:1", ended.pid, {}).announce(tmp_path)
    with pytest.raises(CannotTell, match="no lab runs here"):
        lab.find()


def test_a_file_that_leads_away_from_this_machine_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    RunningLab("http://127.0.0.1.example.com", os.getpid(), {}).announce(tmp_path)
    with pytest.raises(CannotTell, match="which is not this machine"):
        lab.find()


def test_a_lab_takes_back_only_what_it_said_itself(tmp_path: Path) -> None:
    mine, other = (RunningLab(f"http://127.0.0.1:{port}", os.getpid(), {}) for port in (1, 2))
    mine.announce(tmp_path)
    file = other.announce(tmp_path)
    mine.withdraw(tmp_path)
    assert file.is_file()
    other.withdraw(tmp_path)
    assert not file.exists()


def test_the_lab_leads_every_client_to_itself() -> None:
    environment = {"AWS_PROFILE": "of-a-person", "AWS_SESSION_TOKEN": "x", "HOME": "/"}
    RunningLab("http://127.0.0.1:1", 1, {}).enter(environment)
    assert environment == {
        "HOME": "/",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "LAB-person",
        "AWS_SECRET_ACCESS_KEY": "lab",
    }
