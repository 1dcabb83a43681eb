"""The lab that runs on this machine: where it says that it does, and how ``--lab`` reaches it.

AWS's own SDK takes another endpoint and other credentials from the environment, so nothing else here differs between
AWS and the lab.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from failoverctl.errors import CannotTell
from orchestration.settings import PROJECT_ROOT

# Below the folder of the project, which is also where ``failoverctl --lab`` is mostly called.
LAB_FILE = Path("build") / "lab.json"
# Names the file of one lab, where several run.
FILE_VARIABLE = "FAILOVERCTL_LAB"
LOCAL = "http://127.0.0.1:"
# What would lead a request, or its signature, somewhere else than to the lab.
ELSEWHERE = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")


@dataclass(frozen=True)
class RunningLab:
    """A lab that runs: the endpoint of its AWS, the process that keeps it, and its settings as JSON."""

    endpoint: str
    process: int
    settings: Mapping[str, Any]

    def announce(self, root: Path = PROJECT_ROOT) -> Path:
        """Says in a file below ``root`` that it runs, in place of any other lab; returns the file."""
        file = root / LAB_FILE
        file.parent.mkdir(exist_ok=True)
        draft = file.with_suffix(f".{self.process}")
        draft.write_text(json.dumps(asdict(self)), encoding="utf-8")
        draft.replace(file)
        return file

    def withdraw(self, root: Path = PROJECT_ROOT) -> None:
        """Takes that back, unless another lab has taken the file over."""
        file = root / LAB_FILE
        with suppress(OSError, CannotTell):
            if _read(file) == self:
                file.unlink()

    def enter(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """Has every AWS client that is made from now on lead to the lab."""
        for variable in ELSEWHERE:
            environment.pop(variable, None)
        environment.update(
            AWS_ENDPOINT_URL=self.endpoint,
            AWS_ACCESS_KEY_ID="LAB-person",
            AWS_SECRET_ACCESS_KEY="lab",  # noqa: S106
        )


def find() -> RunningLab:
    """Returns the lab that runs on this machine; raises `CannotTell` when there is none."""
    named = os.environ.get(FILE_VARIABLE)
    for file in [Path(named)] if named else [root / LAB_FILE for root in (Path.cwd(), PROJECT_ROOT)]:
        if not file.is_file():
            continue
        lab = _read(file)
        with suppress(ProcessLookupError):
            with suppress(PermissionError):  # somebody else's
                os.kill(lab.process, 0)  # asks only whether it is there
            return lab
    raise CannotTell("no lab runs here; start one in another terminal (`make lab`), in the folder of the project")


def _read(file: Path) -> RunningLab:
    try:
        lab = RunningLab(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CannotTell(
            f"{file} does not say where the lab is ({error}); remove it, and start the lab again"
        ) from None
    if not lab.endpoint.startswith(LOCAL):  # credentials and orders stay on this machine
        raise CannotTell(f"{file} leads to {lab.endpoint}, which is not this machine; remove it")
    return lab
