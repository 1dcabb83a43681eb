"""Where Terraform gets the AWS provider from, and which version that is."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROVIDER = Path("registry.terraform.io", "hashicorp", "aws")
CONFIGURATION_VARIABLE = "TF_CLI_CONFIG_FILE"
# What a plugin directory may be below, from the root of the file system; deeper ones are somebody's working folder.
SEARCH_DEPTH = 6
NEVER_SEARCHED = {Path("/proc"), Path("/sys"), Path("/dev")}


@dataclass(frozen=True)
class Provider:
    """The provider's version, and the CLI configuration that leads Terraform to it.

    Both are None where neither a configuration nor a plugin directory was found: Terraform then asks the registry
    for the version that the configuration pins.
    """

    version: str | None = None
    configuration: str | None = None

    def write(self, folder: Path) -> dict[str, str]:
        """Writes the CLI configuration into ``folder``; returns the environment variables that name it."""
        if self.configuration is None:
            return {}
        file = folder / "terraform.rc"
        file.write_text(self.configuration)
        return {CONFIGURATION_VARIABLE: str(file)}


def find() -> Provider:
    """The provider of the user's own CLI configuration, else of a plugin directory on this machine, else none."""
    named = Path(os.environ.get(CONFIGURATION_VARIABLE, ""))
    if named.is_file():
        text = named.read_text()
        mirror = re.search(r'filesystem_mirror\s*{[^}]*path\s*=\s*"([^"]+)"', text)
        return Provider(_newest(Path(mirror[1]) / PROVIDER) if mirror else None, text)
    for mirror_folder in _plugin_directories(Path("/"), SEARCH_DEPTH):
        version = _newest(mirror_folder / PROVIDER)
        if version:
            path = str(mirror_folder)
            return Provider(
                version, f'provider_installation {{\n  filesystem_mirror {{\n    path = "{path}"\n  }}\n}}\n'
            )
    return Provider()


def terraform() -> str | None:
    """The Terraform program, or None."""
    return shutil.which("terraform")


def _newest(folder: Path) -> str | None:
    """The newest unpacked version below a plugin directory's folder of the provider."""
    if not folder.is_dir():
        return None
    versions = [child.name for child in folder.iterdir() if re.fullmatch(r"\d+\.\d+\.\d+", child.name)]
    return max(versions, key=lambda version: [int(part) for part in version.split(".")], default=None)


def _plugin_directories(folder: Path, depth: int) -> Iterator[Path]:
    """Folders that hold unpacked providers, but for the working folders of other Terraform configurations."""
    if (folder / PROVIDER).is_dir():
        yield folder
    if depth == 0 or folder.name == ".terraform" or folder in NEVER_SEARCHED:
        return
    try:
        children = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for child in sorted(children):
        yield from _plugin_directories(child, depth - 1)
