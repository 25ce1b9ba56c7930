"""0001: cameras, codecs, sources, tracks, faces and their two layers."""

import sqlalchemy as sa
from alembic import op

from storage.schema import UtcTime

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "cameras",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_cameras"),
        sa.UniqueConstraint("name", name="uq_cameras_name"),
    )
    op.create_table(
        "codecs",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_codecs"),
        sa.UniqueConstraint("id", name="uq_codecs_id"),
    )
    _sources()
    _tracks()
    _faces()
    _layers()


def _sources() -> None:
    op.create_table(
        "sources",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("camera_key", sa.Integer(), nullable=False),
        sa.Column("codec_key", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=True),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("corrupt", sa.Integer(), nullable=False),
        sa.Column("detections", sa.Integer(), nullable=False),
        sa.Column("tracks", sa.Integer(), nullable=False),
        sa.Column("archived", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_sources"),
        sa.ForeignKeyConstraint(["camera_key"], ["cameras.key"], name="fk_sources_camera_key_cameras"),
        sa.ForeignKeyConstraint(["codec_key"], ["codecs.key"], name="fk_sources_codec_key_codecs"),
        sa.UniqueConstraint("id", name="uq_sources_id"),
    )
    op.create_index("ix_sources_camera_key", "sources", ["camera_key"])


def _tracks() -> None:
    op.create_table(
        "tracks",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
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
        sa.UniqueConstraint("id", name="uq_tracks_id"),
        sa.UniqueConstraint("source_key", "ordinal", name="uq_tracks_source_key_ordinal"),
    )
    op.create_index("ix_tracks_camera_key_started_at", "tracks", ["camera_key", "started_at"])


def _faces() -> None:
    op.create_table(
        "faces",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("track_key", sa.Integer(), nullable=False),
        sa.Column("camera_key", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("time", UtcTime(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("pts", sa.BigInteger(), nullable=False),
        sa.Column("time_base_numerator", sa.Integer(), nullable=False),
        sa.Column("time_base_denominator", sa.Integer(), nullable=False),
        sa.Column("x0", sa.Double(), nullable=False),
        sa.Column("y0", sa.Double(), nullable=False),
        sa.Column("x1", sa.Double(), nullable=False),
        sa.Column("y1", sa.Double(), nullable=False),
        sa.Column("landmarks", sa.LargeBinary(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("quality", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_faces"),
        sa.ForeignKeyConstraint(["track_key"], ["tracks.key"], name="fk_faces_track_key_tracks", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["camera_key"], ["cameras.key"], name="fk_faces_camera_key_cameras"),
        sa.UniqueConstraint("id", name="uq_faces_id"),
        sa.UniqueConstraint("track_key", "rank", name="uq_faces_track_key_rank"),
    )
    op.create_index("ix_faces_camera_key_time", "faces", ["camera_key", "time"])


def _layers() -> None:
    op.create_table(
        "base_layers",
        sa.Column("face_key", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("codec_key", sa.Integer(), nullable=False),
        sa.Column("checksum", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("face_key", name="pk_base_layers"),
        sa.ForeignKeyConstraint(["face_key"], ["faces.key"], name="fk_base_layers_face_key_faces", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["codec_key"], ["codecs.key"], name="fk_base_layers_codec_key_codecs"),
    )
    op.create_table(
        "enhancement_layers",
        sa.Column("face_key", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("codec_key", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("face_key", name="pk_enhancement_layers"),
        sa.ForeignKeyConstraint(
            ["face_key"], ["faces.key"], name="fk_enhancement_layers_face_key_faces", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["codec_key"], ["codecs.key"], name="fk_enhancement_layers_codec_key_codecs"),
    )


def downgrade() -> None:
    """Drop them all."""
    for table in ("enhancement_layers", "base_layers", "faces", "tracks", "sources", "codecs", "cameras"):
        op.drop_table(table)
