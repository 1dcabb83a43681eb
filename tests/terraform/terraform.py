"""Terraform as the checks run it: it deploys and destroys, too."""

from __future__ import annotations

import json
from typing import Any

from orchestration import terraform


class Terraform(terraform.Terraform):
    """A prepared configuration in a folder, with its state beside it."""

    def init(self) -> None:
        """Installs the provider."""
        self.run("init", "-input=false", "-backend=false")

    def validate(self) -> None:
        """Checks the configuration against the provider's schema."""
        self.run("validate")

    def apply(self) -> None:
        """Does what `plan` has planned."""
        self.run("apply", "-input=false", terraform.PLAN)

    def destroy(self) -> None:
        """Destroys everything in the state."""
        self.run("destroy", "-input=false", "-auto-approve")

    def resources(self) -> list[dict[str, Any]]:
        """Every managed resource in the state, with its values."""
        shown = json.loads(self.run("show", "-json"))
        module = shown.get("values", {}).get("root_module", {})
        return [resource for resource in module.get("resources", []) if resource["mode"] == "managed"]
