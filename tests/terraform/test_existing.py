"""Terraform and the real AWS provider read the stacks around a database that exists.

``make terraform-check`` deploys them around a database that somebody else made (`tests.terraform.adopted`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.infrastructure.existing import SETTINGS, existing, linked
from tests.infrastructure.synthesized import synthesized
from tests.terraform import provider
from tests.terraform.check import terraform_environment
from tests.terraform.configuration import prepare
from tests.terraform.terraform import Terraform


@pytest.mark.parametrize("given", [existing(), linked()], ids=["some is ours", "all exists"])
def test_stacks_around_what_exists_are_valid_for_the_real_provider(
    given: dict[str, Any], tmp_path: Path, optional_tool: Callable[..., Any]
) -> None:
    program = optional_tool("terraform", provider.terraform(), "validates the stacks")
    found = provider.find()
    environment = terraform_environment("http://127.0.0.1:9") | found.write(tmp_path)  # nobody is asked
    deployment = synthesized(tmp_path, existing=given, game_day={"enabled": True}, **SETTINGS)
    for name in ("us-east-1", "global"):
        prepare(deployment.stacks[name].folder, tmp_path / name, found.version)
        stack = Terraform(program, tmp_path / name, environment)
        stack.init()
        stack.validate()
