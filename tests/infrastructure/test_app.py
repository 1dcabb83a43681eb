"""``python app.py`` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.infrastructure.synthesized import Deployment

ROOT = Path(__file__).resolve().parents[2]


def run(output: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=os.environ | {"CDKTF_OUTDIR": str(output)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_unusable_settings_give_one_clear_error_and_nothing_is_written(tmp_path: Path) -> None:
    finished = run(tmp_path / "out", FAILOVER_ENVIRONMENT_SUFFIX="Not_Legal")
    assert finished.returncode == 2
    assert "environment_suffix = 'Not_Legal'" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert finished.stdout == ""
    assert not (tmp_path / "out").exists()


def test_lifting_the_protection_of_production_is_visible(tmp_path: Path) -> None:
    finished = run(
        tmp_path / "out",
        FAILOVER_ENVIRONMENT="production",
        FAILOVER_PROTECTION_OVERRIDE="true",
        FAILOVER_ENVIRONMENT_SUFFIX="live",
    )
    assert finished.returncode == 0
    assert "warning: protection_override is on: the databases of live can be destroyed" in finished.stderr
    assert "warning: database.min_capacity is 0.5 ACU and database.standby_min_capacity is 0.5 ACU; " in finished.stderr


def test_state_is_kept_apart_for_each_stack_and_deployment(development: Deployment, production: Deployment) -> None:
    states = [
        (stack.folder / stack.json["terraform"]["backend"]["local"]["path"]).resolve()
        for deployment in (development, production)
        for stack in deployment.stacks.values()
    ]
    assert len(set(states)) == len(states) == 8
    assert {state.parent.parent for state in states} == {ROOT / "state"}


def test_stacks_are_deployed_in_an_order_that_ends_with_what_arms_the_orchestrators(development: Deployment) -> None:
    manifest = json.loads((development.writer.folder.parents[1] / "manifest.json").read_text())
    assert {name: stack["dependencies"] for name, stack in manifest["stacks"].items()} == {
        "identity": [],
        "us-east-1": ["identity"],
        "us-west-2": ["us-east-1"],
        "global": ["us-west-2"],
    }


def test_terraform_is_new_enough_for_write_only_passwords(development: Deployment) -> None:
    for stack in development.stacks.values():
        assert stack.json["terraform"]["required_version"] == ">= 1.11"
