"""0004: faces in some 100 bytes, pictures by content, a list of what was removed, the archive's own name.

Faces keep their keys and their names; a box is rounded to a quarter of a pixel, confidence and quality to a 255th.
Their stream time goes: the moment in microseconds tells it, for ticks are longer.
"""

import hashlib
import struct
import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from storage.placement import Placement, pack
from storage.schema import UtcTime

revision = "0004"
down_revision: str | None = "0003"

_AT_ONCE = 2000
"""Rows that are in memory at a time."""

_TRIGGERS = """
CREATE TRIGGER face_removed AFTER DELETE ON faces BEGIN
    INSERT INTO removed_faces (face_key) VALUES (OLD."key");
END;
CREATE TRIGGER enhancement_removed AFTER DELETE ON enhancement_layers BEGIN
    DELETE FROM enhancement_blobs WHERE digest = OLD.digest
        AND NOT EXISTS (SELECT 1 FROM enhancement_layers WHERE digest = OLD.digest);
END
"""


def upgrade() -> None:
    """Make the tables anew and fill them from the old ones."""
    connection = op.get_bind()
    # Foreign keys of what is renamed would follow it: the old tables go by new names only while they are read.
    for table, indexes in (
        ("tracks", ("ix_tracks_camera_key_started_at",)),
        ("faces", ("ix_faces_camera_key_time",)),
        ("base_layers", ()),
        ("enhancement_layers", ()),
    ):
        for index in indexes:
            op.drop_index(index, table)
        op.rename_table(table, f"old_{table}")
    _tables()
    connection.exec_driver_sql("INSERT INTO archives (id) VALUES (?)", (uuid.uuid4().hex,))
    connection.exec_driver_sql(
        'INSERT INTO tracks SELECT "key", source_key, camera_key, ordinal, generation, started_at, ended_at, '
        "detections, identity_id FROM old_tracks"
    )
    for rows in _pages(connection, _FACES):
        connection.exec_driver_sql("INSERT INTO faces VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [_face(row) for row in rows])
    for rows in _pages(connection, _PICTURES):
        pictures = [(key, codec, hashlib.blake2b(data, digest_size=16).digest(), data) for key, codec, data in rows]
        connection.exec_driver_sql(
            "INSERT INTO enhancement_blobs VALUES (?, ?) ON CONFLICT DO NOTHING", [(p[2], p[3]) for p in pictures]
        )
        connection.exec_driver_sql("INSERT INTO enhancement_layers VALUES (?, ?, ?)", [p[:3] for p in pictures])
    for table in ("enhancement_layers", "base_layers", "faces", "tracks"):
        op.drop_table(f"old_{table}")
    for trigger in _TRIGGERS.split(";\nCREATE"):
        op.execute(trigger if trigger.lstrip().startswith("CREATE") else f"CREATE{trigger}")


_FACES = """
SELECT f."key", f.track_key, f.rank, f.time - t.started_at, f.x0, f.y0, f.x1, f.y1, f.landmarks,
    f.confidence, f.quality, b.codec_key, b.checksum, b.payload
FROM old_faces f JOIN old_tracks t ON t."key" = f.track_key JOIN old_base_layers b ON b.face_key = f."key"
WHERE f."key" > ? ORDER BY f."key" LIMIT ?
"""
_PICTURES = """
SELECT e.face_key, e.codec_key, e.payload FROM old_enhancement_layers e JOIN faces f ON f."key" = e.face_key
WHERE e.face_key > ? ORDER BY e.face_key LIMIT ?
"""


def _pages(connection: sa.Connection, question: str) -> Iterator[list[Any]]:
    """The rows, some at a time, in the order of their first column."""
    last = -1
    while rows := [tuple(row) for row in connection.exec_driver_sql(question, (last, _AT_ONCE))]:
        yield rows
        last = rows[-1][0]


def _face(row: tuple[Any, ...]) -> tuple[Any, ...]:
    key, track_key, rank, moment, x0, y0, x1, y1, landmarks, confidence, quality, codec_key, checksum, payload = row
    points = tuple((x, y) for x, y in struct.iter_unpack("<2f", landmarks))
    placement = pack(Placement((x0, y0, x1, y1), points, confidence, quality))
    signed = checksum - 2**32 if checksum >= 2**31 else checksum
    return key, track_key, rank, moment, placement, codec_key, signed, payload


def _tables() -> None:
    op.create_table(
        "archives", sa.Column("id", sa.String(), nullable=False), sa.PrimaryKeyConstraint("id", name="pk_archives")
    )
    op.create_table(
        "tracks",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("source_key", sa.Integer(), nullable=False),
        sa.Column("camera_key", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=False),
        sa.Column("detections", sa.Integer(), nullable=False),
        sa.Column("identity_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_tracks"),
        sa.ForeignKeyConstraint(
            ["source_key"], ["sources.key"], name="fk_tracks_source_key_sources", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["camera_key"], ["cameras.key"], name="fk_tracks_camera_key_cameras"),
        sa.UniqueConstraint("source_key", "ordinal", name="uq_tracks_source_key_ordinal"),
    )
    op.create_index("ix_tracks_camera_key_started_at", "tracks", ["camera_key", "started_at"])
    op.create_table(
        "faces",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("track_key", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.Column("placement", sa.LargeBinary(), nullable=False),
        sa.Column("codec_key", sa.Integer(), nullable=False),
        sa.Column("checksum", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_faces"),
        sa.ForeignKeyConstraint(["track_key"], ["tracks.key"], name="fk_faces_track_key_tracks", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["codec_key"], ["codecs.key"], name="fk_faces_codec_key_codecs"),
        sa.UniqueConstraint("track_key", "rank", name="uq_faces_track_key_rank"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "removed_faces",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("face_key", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_removed_faces"),
        sqlite_autoincrement=True,
    )
    _pictures()


def _pictures() -> None:
    op.create_table(
        "enhancement_blobs",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_enhancement_blobs"),
    )
    op.create_table(
        "enhancement_layers",
        sa.Column("face_key", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("codec_key", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("face_key", name="pk_enhancement_layers"),
        sa.ForeignKeyConstraint(
            ["face_key"], ["faces.key"], name="fk_enhancement_layers_face_key_faces", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["codec_key"], ["codecs.key"], name="fk_enhancement_layers_codec_key_codecs"),
        sa.ForeignKeyConstraint(
            ["digest"], ["enhancement_blobs.digest"], name="fk_enhancement_layers_digest_enhancement_blobs"
        ),
    )
    op.create_index("ix_enhancement_layers_digest", "enhancement_layers", ["digest"])


def downgrade() -> None:
    """Nothing goes back: what the older tables held of stream times is gone. Put a backup in the archive's place."""
    raise NotImplementedError("archives do not go back before 0004: put a backup in the archive's place")
