"""0006: tracks that a user holds, which no clearing up takes."""

import sqlalchemy as sa
from alembic import op

from storage.schema import BIG_KEY

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Add the table; nothing that older archives hold is touched."""
    op.create_table(
        "holds",
        sa.Column("track_key", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["track_key"], ["tracks.key"], "fk_holds_track_key_tracks", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("track_key", name="pk_holds"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("holds")
