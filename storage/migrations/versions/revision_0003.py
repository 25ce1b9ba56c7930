"""0003: hidden cameras, and what told a source's times."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Add what older archives do without; nothing that they hold is touched."""
    op.add_column("cameras", sa.Column("hidden", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("sources", sa.Column("clock", sa.String(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("sources", "clock")
    op.drop_column("cameras", "hidden")
