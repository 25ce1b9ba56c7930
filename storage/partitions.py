"""Where new tracks go: on Postgres, into tables of their month.

A track's key says its month there. Keys come in slots of `SLOT`; each slot is of one month, and the tables `tracks` and
`faces` have a partition each for it, made when a month's first track comes. A month that fills its slot gets another.
On SQLite keys are simply counted.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from storage.schema import Track

SLOT = 1 << 22
"""Keys a slot: tracks of one month that lie in one partition, some 12 million faces."""
NEARLY = 1 << 18
"""Keys left of a slot at which the month is given another."""
PATIENCE = "100ms"
"""How long a partition that is to go waits for readers: all who come after it wait as long."""


def new_track_keys(connection: Connection, starts: Sequence[datetime]) -> list[int]:
    """Keys for so many new tracks, that began then."""
    if connection.dialect.name != "postgresql":
        newest = connection.execute(select(func.coalesce(func.max(Track.key), 0))).scalar_one()
        return list(range(newest + 1, newest + 1 + len(starts)))
    months = [_month(start) for start in starts]
    counts = {month: months.count(month) for month in sorted(set(months))}
    held = text("SELECT month, max(slot) FROM track_months WHERE month = ANY(:months) GROUP BY month")
    slots: dict[int, int] = dict(connection.execute(held, {"months": list(counts)}).all())
    keys: dict[int, list[int]] = {}
    for month, count in counts.items():
        slot = slots[month] if month in slots else _open_slot(connection, month, None)
        keys[month] = _drawn(connection, slot, count)
        if keys[month][-1] % SLOT > SLOT - NEARLY:
            _open_slot(connection, month, slot)
    given = {month: iter(found) for month, found in keys.items()}
    return [next(given[month]) for month in months]


def drop_empty(engine: Engine) -> int:
    """The bytes of the oldest slot of which nothing is left, dropped; 0: there is none such, or it is being read.

    The newest month's stay.
    """
    with engine.connect().execution_options(writes="alone") as connection, connection.begin() as transaction:
        older = "SELECT slot, month FROM track_months WHERE month < (SELECT max(month) FROM track_months) ORDER BY slot"
        for slot, month in connection.execute(text(older)).all():
            tables = _partitions(month, slot)
            held = " OR ".join(f"EXISTS (SELECT 1 FROM {partition})" for partition in tables.values())
            if connection.execute(text(f"SELECT {held}")).scalar_one():
                continue
            sizes = " + ".join(f"pg_total_relation_size('{partition}')" for partition in tables.values())
            size = int(connection.execute(text(f"SELECT {sizes}")).scalar_one())
            try:
                connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}'"))
                for table, partition in reversed(tables.items()):  # faces first: they point at tracks
                    connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {partition}"))
                    connection.execute(text(f"DROP TABLE {partition}"))
                connection.execute(text("DELETE FROM track_months WHERE slot = :slot"), {"slot": slot})
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) != "55P03":
                    raise
                transaction.rollback()
                return 0
            return size
    return 0


def _drawn(connection: Connection, slot: int, count: int) -> list[int]:
    drawn = text(f"SELECT nextval('track_keys_{slot}') FROM generate_series(1, :count)")
    return list(connection.execute(drawn, {"count": count}).scalars())


def _open_slot(connection: Connection, month: int, after: int | None) -> int:
    """The slot that the month has after that one, made here or by somebody else meanwhile."""
    connection.execute(text("LOCK TABLE track_months IN EXCLUSIVE MODE"))
    newest = text("SELECT max(slot) FROM track_months WHERE month = :month")
    held = connection.execute(newest, {"month": month}).scalar_one()
    if held != after:
        return int(held)
    new = text("INSERT INTO track_months (month) VALUES (:month) RETURNING slot")
    slot = int(connection.execute(new, {"month": month}).scalar_one())
    first, end = slot * SLOT, (slot + 1) * SLOT
    tables = _partitions(month, slot)
    for table, partition in tables.items():
        # Made apart and attached: readers of the others need not wait.
        connection.execute(text(f"CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)"))
        connection.execute(
            text(f"ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({first}) TO ({end})")
        )
    owner = f"OWNED BY {tables['tracks']}.key"
    connection.execute(text(f"CREATE SEQUENCE track_keys_{slot} MINVALUE {first} MAXVALUE {end - 1} {owner}"))
    return slot


def _partitions(month: int, slot: int) -> dict[str, str]:
    """The names of the slot's partitions, by the table that each is of; what is pointed at comes first."""
    name = f"{month // 12:04d}_{month % 12 + 1:02d}_{slot}"
    return {table: f"{table}_{name}" for table in ("tracks", "faces")}


def _month(start: datetime) -> int:
    """Months since the year 0, UTC."""
    at = start.astimezone(UTC)
    return at.year * 12 + at.month - 1
