"""Looks into an archive's tables, past its door."""

from sqlalchemy import text

from storage import Archive

TABLES = ("sources", "tracks", "faces", "enhancement_layers", "enhancement_blobs")


def change(archive: Archive, statement: str, **values: object) -> None:
    """Something else than the archive changes its database."""
    with archive._writing() as connection:
        connection.execute(text(statement), values)


def rows(archive: Archive, *tables: str) -> list[int]:
    """How many rows the tables have, after what points at what was looked at."""
    with archive._reading() as connection:
        if connection.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall() == []
        else:  # what has no foreign key there
            astray = "SELECT count(*) FROM enhancement_layers WHERE face_key NOT IN (SELECT key FROM faces)"
            assert connection.execute(text(astray)).scalar_one() == 0
        return [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables or TABLES]
