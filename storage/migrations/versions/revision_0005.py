"""0005: identities, what users said of them, and who is watched for."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Add the tables; nothing that older archives hold is touched."""
    op.create_index("ix_tracks_identity_id", "tracks", ["identity_id"])
    op.create_table(
        "identities",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_identities"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "identity_acts",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("act", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_identity_acts"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "watches",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("identity", sa.Integer(), nullable=True),
        sa.Column("codec_id", sa.String(), nullable=True),
        sa.Column("feature", sa.LargeBinary(), nullable=True),
        sa.Column("quality", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_watches"),
        sa.UniqueConstraint("name", name="uq_watches_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sightings",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("watch_key", sa.Integer(), nullable=False),
        sa.Column("track_key", sa.Integer(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["track_key"], ["tracks.key"], "fk_sightings_track_key_tracks", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["watch_key"], ["watches.key"], "fk_sightings_watch_key_watches", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name="pk_sightings"),
        sa.UniqueConstraint("watch_key", "track_key", name="uq_sightings_watch_key_track_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sightings_track_key", "sightings", ["track_key"])


def downgrade() -> None:
    """Drop them."""
    for table in ("sightings", "watches", "identity_acts", "identities"):
        op.drop_table(table)
    op.drop_index("ix_tracks_identity_id", "tracks")
