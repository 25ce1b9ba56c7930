"""0002: the ledger of gaps, and until when each camera was watched."""

import sqlalchemy as sa
from alembic import op

from storage.schema import UtcTime

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Add what older archives do without; nothing that they hold is touched."""
    op.add_column("cameras", sa.Column("watched_until", UtcTime(), nullable=True))
    op.create_table(
        "gaps",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("camera_key", sa.Integer(), nullable=False),
        sa.Column("began_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_gaps"),
        sa.ForeignKeyConstraint(["camera_key"], ["cameras.key"], name="fk_gaps_camera_key_cameras"),
        sa.UniqueConstraint("id", name="uq_gaps_id"),
    )
    op.create_index("ix_gaps_camera_key_began_at", "gaps", ["camera_key", "began_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("gaps")
    op.drop_column("cameras", "watched_until")
