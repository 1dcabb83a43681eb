"""ExportSalvage: exports what the old writer committed and the new one lacks, as a file to read and replay.

One invocation writes one part of it; the workflow repeats the step until it is done.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.core.errors import InvalidRequest
from handlers.core.reading import Fields
from handlers.core.reprotection import Order
from handlers.core.salvage import Place, Replay, Salvage, file_text, not_read
from handlers.gateways.acting import OtherRegion, ReprotectionRoleVariables
from handlers.gateways.archive import SALVAGE_SUMMARY, Archive, ArchiveVariables
from handlers.gateways.control_table import ControlTable, ControlVariables
from handlers.gateways.salvage import SalvageFunction, SalvageVariables
from handlers.telemetry import instrumented, logger


class Environment(ControlVariables, ReprotectionRoleVariables, ArchiveVariables, SalvageVariables):
    """What this step reads."""

    salvage_replay: str  # JSON: see `handlers.core.salvage.Replay`


ENVIRONMENT = Environment.read()
CONTROL = ControlTable.of(ENVIRONMENT)
OTHER_REGION = OtherRegion.for_reprotection(ENVIRONMENT)
REPLAY = Replay.read(ENVIRONMENT.salvage_replay)

# A part that a person can open in an editor.
ROWS_A_PART = 5_000
# One invocation begins no page after this long; a page may take a minute, and the state waits for two.
WORK_FOR_S = 40.0


@instrumented
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point for Step Functions; see `handlers.core.reprotection.Order`.

    It also reads ``salvage``, what the invocation before has returned.
    """
    order = Order.read(event)
    logger.append_keys(run=order.run)
    before = Salvage.read(Fields(event, "the step's event", InvalidRequest).section("salvage"))
    old = SalvageFunction.there(OTHER_REGION, ENVIRONMENT, order.run)
    return asdict(export_salvage(CONTROL, old, Archive.of(ENVIRONMENT, order.epoch), REPLAY, order, before))


def export_salvage(
    control: ControlTable,
    old: SalvageFunction,
    archive: Archive,
    replay: Replay,
    order: Order,
    before: Salvage,
) -> Salvage:
    """Writes the next part of the file and, after the last, the summary. May raise `LockLost`."""
    control.assert_reprotecting(order.run, order.epoch)
    began, horizon = time.monotonic(), control.read().replicated_xid
    tables = old.tables()
    salvage, place, lines = before, before.place, list[str]()
    while place.table < len(tables) and len(lines) < ROWS_A_PART and time.monotonic() - began < WORK_FOR_S:
        table = tables[place.table]
        page = old.page(table, place, horizon)
        if page.unread is not None:
            salvage = salvage.without(table.name, page.unread)
            lines.append(not_read(table.name, page.unread))
        lines += [replay.line(table.name, row) for row in page.rows]
        salvage = replace(
            salvage,
            missing=salvage.missing + sum(row.finding == "missing" for row in page.rows),
            different=salvage.different + sum(row.finding == "different" for row in page.rows),
            uncompared=salvage.uncompared + page.uncompared,
        )
        place = Place(place.table, page.after) if page.after else Place(place.table + 1)
    done = place.table >= len(tables)
    if lines or (done and salvage.part == 0):  # to have found nothing is worth a file too
        salvage = replace(salvage, part=salvage.part + 1)
        text = file_text(order.epoch, order.old_region, salvage.part, lines)
        archive.keep(f"salvage-{salvage.part:03d}.sql", text)
    salvage = replace(salvage, done=done, place=place, kept_at=archive.address(""))
    if done:
        kept = archive.the_old_cluster()
        summary = asdict(salvage) | {"resource_id": kept.resource_id, "salvaged_at": time.time(), "horizon": horizon}
        archive.keep_json(SALVAGE_SUMMARY, summary)
        found = {name: summary[name] for name in ("missing", "different", "uncompared", "unread")}
        logger.info("exported", **found)
    return salvage
