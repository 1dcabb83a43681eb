"""Pages: one HTML file without any external link, for screens of every width and for paper.

The reports of drills are made by the same means (`drills.show.report`).
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent


def environment(*folders: Path) -> Environment:
    """Returns what renders the templates in ``folders`` and here, such as ``page.css``, which all pages include."""
    return Environment(
        loader=FileSystemLoader([*folders, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
