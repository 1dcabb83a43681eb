"""What a re-protection kept of the old writer, read and replayed as a person would: file after file, with psql."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from drills.world.postgres import Server

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


def replay(server: Server, texts: Iterable[str]) -> Counter[str]:
    """Runs the files on the writer and counts what the application's own function said: ``applied`` or ``known``."""
    said: Counter[str] = Counter()
    with server.connect() as connection:
        for text in texts:
            cursor = connection.execute(text.encode())
            while True:
                if cursor.description:
                    said.update(str(row[0]) for row in cursor.fetchall())
                if not cursor.nextset():
                    break
    return said
