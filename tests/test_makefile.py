"""Each target of the Makefile installs what the program that it starts imports."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires

import pytest

from orchestration.settings import PROJECT_ROOT


def named(requirements: str) -> set[str]:
    """The distributions that a requirements file names."""
    lines = (PROJECT_ROOT / requirements).read_text(encoding="utf-8").splitlines()
    return {found[0].lower().replace("_", "-") for line in lines if (found := re.match(r"[A-Za-z][\w.-]*", line))}


def with_what_they_need(distributions: set[str]) -> set[str]:
    """Those, and all that come with them; extras count, which makes the test a little milder."""
    found, todo = set[str](), [*distributions]
    while todo:
        if (one := todo.pop()) in found:
            continue
        found.add(one)
        try:
            needed = requires(one) or []
        except ModuleNotFoundError:
            continue
        todo += [re.split(r"[^\w.-]", each)[0].lower().replace("_", "-") for each in needed if "extra ==" not in each]
    return found


OF_DRILLS = with_what_they_need(named("drills/requirements.txt"))
STARTED = dict(
    re.findall(
        r"^([\w-]+): \$\(VENV\)/\.drill\n\t@?\$\(RUN\) -m ([\w.]+)",
        (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)


def test_there_are_targets_that_need_no_more_than_a_drill() -> None:
    assert {"drill", "lab", "soak"} <= set(STARTED)


@pytest.mark.parametrize("target", STARTED)
def test_what_needs_no_more_than_a_drill_imports_no_more(target: str) -> None:
    others = named("requirements.txt") - OF_DRILLS
    absent = sorted(name for name, of in packages_distributions().items() if others & {one.lower() for one in of})
    assert "pg8000" in absent
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({absent})); sys.argv = ['x', '--help']; "
        f"import runpy; runpy.run_module({STARTED[target]!r}, run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
