"""What a re-protection kept of the old writer, as the drill reads it to judge the replay."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The files to replay among the objects of a bucket: ``epoch-2/salvage-001.sql``.
FILE = re.compile(r"epoch-(\d+)/salvage-\d+\.sql")
# The statement of one missing transfer, and the id in its row.
TRANSFER = re.compile(r"^SELECT transfer\(.*?\"id\": ?\"([0-9a-f-]{36})\"", re.MULTILINE)


def files_of(objects: Mapping[str, str]) -> dict[int, list[str]]:
    """Returns the texts to replay by epoch, in the order of their names."""
    found: dict[int, list[str]] = {}
    for key in sorted(objects):
        if named := FILE.fullmatch(key):
            found.setdefault(int(named[1]), []).append(objects[key])
    return found


def transfers_in(texts: Iterable[str]) -> set[str]:
    """Returns the ids of the transfers that the files would write."""
    return {transfer for text in texts for transfer in TRANSFER.findall(text)}
