"""0007: base layers that newer weights wrote of faces of older ones."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Add the tables; nothing that older archives hold is touched."""
    op.create_table(
        "recodings",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("codec_key", sa.Integer(), nullable=False),
        sa.Column("weights", sa.String(), nullable=False),
        sa.Column("replaces", sa.String(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(["codec_key"], ["codecs.key"], "fk_recodings_codec_key_codecs"),
        sa.PrimaryKeyConstraint("key", name="pk_recodings"),
        sa.UniqueConstraint("codec_key", name="uq_recodings_codec_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "recoded_layers",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("recoding_key", sa.Integer(), nullable=False),
        sa.Column("face_key", sa.Integer(), nullable=False),
        sa.Column("checksum", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["face_key"], ["faces.key"], "fk_recoded_layers_face_key_faces", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name="pk_recoded_layers"),
        sa.UniqueConstraint("face_key", "recoding_key", name="uq_recoded_layers_face_key_recoding_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_recoded_layers_recoding_key_key", "recoded_layers", ["recoding_key", "key"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("recoded_layers")
    op.drop_table("recodings")
