"""Terraform and the real AWS provider read the stacks around a database that exists.

``make terraform-check`` deploys them around a database that somebody else made (`tests.terraform.adopted`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.infrastructure.existing import SETTINGS, existing, linked
from tests.infrastructure.synthesized import synthesized
from tests.terraform import provider
from tests.terraform.check import terraform_environment
from tests.terraform.configuration import prepare
from tests.terraform.terraform import Terraform


def test_stacks_around_what_exists_are_valid_for_the_real_provider(
    tmp_path: Path, optional_tool: Callable[..., Any]
) -> None:
    """All of them at once, as modules of one configuration: most of the time is the provider's, for its schema."""
    program = optional_tool("terraform", provider.terraform(), "validates the stacks")
    found = provider.find()
    environment = terraform_environment("http://127.0.0.1:9") | found.write(tmp_path)  # nobody is asked
    modules = {}
    for what, given in (("some-is-ours", existing()), ("all-exists", linked())):
        (tmp_path / what).mkdir()
        deployment = synthesized(tmp_path / what, existing=given, game_day={"enabled": True}, **SETTINGS)
        for name in ("us-east-1", "global"):
            prepare(deployment.stacks[name].folder, tmp_path / f"{what}-{name}", found.version)
            modules[f"{what}-{name}"] = {"source": f"./{what}-{name}"}
    (tmp_path / "main.tf.json").write_text(json.dumps({"module": modules}))
    stacks = Terraform(program, tmp_path, environment)
    stacks.init()
    stacks.validate()
