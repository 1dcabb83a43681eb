#!/usr/bin/env python
"""Writes the Terraform configuration of every stack: ``python app.py``, or ``cdktf synth``.

Deploy the stacks in the order in which they are printed, destroy them in the reverse order.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from orchestration import lazy_bindings
from orchestration.idle_cost import capacity_warning
from orchestration.packaging import PackagingError, build_packages
from orchestration.settings import PROJECT_ROOT, SettingsError, load

OUTPUT_VARIABLE = "CDKTF_OUTDIR"  # set by the cdktf command
PACKAGES_FOLDER = PROJECT_ROOT / "build" / "packages"
EXIT_UNUSABLE_SETTINGS = 2


def main() -> int:
    """Synthesizes every stack; returns the exit code."""
    try:
        settings = load()
        packages = build_packages(PROJECT_ROOT, PACKAGES_FOLDER)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_UNUSABLE_SETTINGS
    except PackagingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if settings.protection_override:
        print(
            f"warning: protection_override is on: the databases of {settings.environment_suffix} can be destroyed",
            file=sys.stderr,
        )
    if warning := capacity_warning(settings):
        print(f"warning: {warning}", file=sys.stderr)
    lazy_bindings.enable()
    from orchestration.stacks import synthesize  # after enable(), which makes this import fast

    output = Path(os.environ.get(OUTPUT_VARIABLE, PROJECT_ROOT / "cdktf.out"))
    stacks = synthesize(settings, packages, output)
    print(f"{output}: {', '.join(stacks)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
