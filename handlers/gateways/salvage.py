"""The salvage function of a region as its callers see it, and the SQL that it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from handlers.core.environment import Variables
from handlers.core.errors import FailoverError
from handlers.core.reading import Fields
from handlers.core.salvage import TUPLE_ID, Place, Row, Table
from handlers.gateways.acting import OtherRegion
from handlers.gateways.aws import invoke

if TYPE_CHECKING:
    import pg8000.exceptions
    import pg8000.native
    from types_boto3_lambda import LambdaClient

# A page looks through this many blocks of 8 kB (400 MB), which cold storage delivers in some seconds.
BLOCKS_A_PAGE = 50_000
ROWS_A_PAGE = 500
# PostgreSQL makes every row of the blocks that it is to look through into JSON before it puts them in order: a page
# begins with few, and looks through twice as many as long as there is room for more rows.
FIRST_LOOK_BLOCKS = 16
# Lambda's answers are 6 MB at most (Lambda guide, "Lambda quotas"); JSON in JSON grows by its quotes.
BYTES_A_PAGE = 2_000_000
# insufficient_privilege, of the table, its schema, or a policy that hides rows; undefined_table: the new writer has no
# such table. Asking again would fail again, for ever.
NEVER_READ = frozenset({"42501", "42P01"})
# Longer than the function's own limit.
INVOCATION_TIMEOUT_S = 65.0


class SalvageUnclear(FailoverError):
    """The salvage function gave an answer that cannot be read."""


@dataclass(frozen=True)
class Page:
    """Some rows of a table, how many of its rows could not be compared, and after which tuple to continue.

    ``unread`` says why the table may not be read; there is nothing else in the page then.
    """

    rows: list[Row]
    uncompared: int
    after: str | None  # None at the table's end
    unread: str | None = None


class SalvageVariables(Variables):
    """The other region's salvage function."""

    peer_salvage_function: str


class SalvageFunction:
    """The function ``function`` of the old region, through ``client``."""

    def __init__(self, client: LambdaClient, function: str) -> None:
        self._client = client
        self._function = function

    @classmethod
    def there(cls, other_region: OtherRegion, environment: SalvageVariables, run: str) -> SalvageFunction:
        """Returns the other region's function, in the role for it."""
        lambda_client = other_region.client("lambda", run, read_timeout_s=INVOCATION_TIMEOUT_S)
        return cls(lambda_client, environment.peer_salvage_function)

    def tables(self) -> list[Table]:
        """Returns the tables of the old writer. Raises `TransientFailure` or `SalvageUnclear`."""
        fields = self._ask({"order": "tables"})
        return [Table.read(one) for one in _sections(fields, "tables")]

    def page(self, table: Table, place: Place, horizon: int | None) -> Page:
        """Returns the rows after ``place`` that are missing or different on the new writer. Raises as `tables` does.

        ``horizon``: every transaction with a lower id is in the new writer.
        """
        event = {"order": "page", "table": asdict(table), "after": place.after, "horizon": horizon}
        fields = self._ask(event)
        return Page(
            [Row.read(one) for one in _sections(fields, "rows")],
            fields.optional_whole("uncompared", at_most=2**63) or 0,
            fields.optional_text("after", pattern=TUPLE_ID),
            fields.optional_text("unread", pattern="(?s).{1,1000}"),
        )

    def mark(self) -> str | None:
        """Returns what the old writer is like now; None while it is not fenced. Raises as `tables` does.

        Two marks that are equal say that in between its fence was not lifted, and nothing was written.
        """
        return self._ask({"order": "mark"}).optional_text("mark")

    def _ask(self, event: dict[str, Any]) -> Fields:
        return Fields(invoke(self._client, self._function, event), "the salvage function's answer", SalvageUnclear)


def _sections(fields: Fields, field: str) -> list[Fields]:
    found = fields.data.get(field)
    if not isinstance(found, list):
        raise SalvageUnclear(f"{fields.name}: field {field!r} is not a list; look at the function's log")
    return [Fields(one, f"{fields.name}, {field}", SalvageUnclear) for one in found]


# --- in the function itself


def tables(old: pg8000.native.Connection) -> list[Table]:
    """Returns the application's tables."""
    return [Table(name, bool(keyed), int(blocks)) for name, keyed, blocks in old.run("SELECT * FROM salvage_tables()")]


def mark(old: pg8000.native.Connection) -> str | None:
    """Returns what the server is like; see `SalvageFunction.mark`."""
    found = old.run("SELECT salvage_mark()")
    return str(found[0][0]) if found and found[0][0] is not None else None


def why_unread(failure: pg8000.exceptions.DatabaseError) -> str | None:
    """Returns why a table may not be read, as PostgreSQL says it; None for any other failure, which may pass."""
    report = failure.args[0] if failure.args else None
    if not isinstance(report, dict) or report.get("C") not in NEVER_READ:
        return None
    return f"{report.get('M', 'no message')} ({report['C']})"


def page(
    old: pg8000.native.Connection, new: pg8000.native.Connection, table: Table, after: str, horizon: int | None
) -> Page:
    """Returns the rows of one page of ``old`` that are missing or different on ``new``."""
    end = min(_block(after) + BLOCKS_A_PAGE, table.blocks)
    then = f"({end},0)" if end < table.blocks else None
    where = {"name": table.name, "horizon": horizon}
    if not table.keyed:
        count_them = "SELECT salvage_count(:name, :horizon, :after, :end)"
        ((count,),) = old.run(count_them, **where, after=after, end=f"({end},0)")
        return Page([], int(count), then)
    found = _rows(old, where, after, end)
    taken: list[tuple[str, str, str, str]] = []
    size = 0
    for tuple_id, key, data, digest in found:
        size += len(data)
        if taken and size > BYTES_A_PAGE:
            break
        taken.append((tuple_id, key, data, digest))
    if len(taken) < len(found) or len(found) == ROWS_A_PAGE:
        then = taken[-1][0]
    keys = "[" + ",".join(key for _, key, _, _ in taken) + "]"
    have = dict(new.run("SELECT * FROM salvage_compare(:name, :keys)", name=table.name, keys=keys)) if taken else {}
    rows = [
        Row("different" if key in have else "missing", data)
        for _, key, data, digest in taken
        if have.get(key) != digest
    ]
    return Page(rows, 0, then)


def _rows(
    old: pg8000.native.Connection, where: dict[str, Any], after: str, end: int
) -> list[tuple[str, str, str, str]]:
    """Returns the first rows after a tuple and before the block ``end``: tuple id, key, JSON and its digest."""
    found: list[tuple[str, str, str, str]] = []
    blocks = FIRST_LOOK_BLOCKS
    while len(found) < ROWS_A_PAGE and (block := _block(after)) < end:
        until = f"({min(block + blocks, end)},0)"
        page = "SELECT * FROM salvage_page(:name, :horizon, :after, :end, :rows)"
        found += old.run(page, **where, after=after, end=until, rows=ROWS_A_PAGE - len(found))
        after, blocks = until, 2 * blocks
    return found


def _block(tuple_id: str) -> int:
    return int(tuple_id.strip("()").split(",")[0])
