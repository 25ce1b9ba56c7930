"""0007: base layers that newer weights wrote of faces of older ones."""

import sqlalchemy as sa
from alembic import op

from storage.schema import BIG_KEY

revision = "0007"
down_revision: str | None = "0006"


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
        sa.Column("key", BIG_KEY, nullable=False),
        sa.Column("recoding_key", sa.Integer(), nullable=False),
        sa.Column("face_key", BIG_KEY, nullable=False),
        sa.Column("checksum", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        *_of_faces(),
        sa.PrimaryKeyConstraint("key", name="pk_recoded_layers"),
        sa.UniqueConstraint("face_key", "recoding_key", name="uq_recoded_layers_face_key_recoding_key"),
        sqlite_autoincrement=True,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_FACE_REMOVED)
    op.create_index("ix_recoded_layers_recoding_key_key", "recoded_layers", ["recoding_key", "key"])


_FACE_REMOVED = """
CREATE OR REPLACE FUNCTION face_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO removed_faces (face_key) VALUES (OLD.key);
    DELETE FROM enhancement_layers WHERE face_key = OLD.key;
    DELETE FROM recoded_layers WHERE face_key = OLD.key;
    RETURN NULL;
END $$
"""


def _of_faces() -> list[sa.ForeignKeyConstraint]:
    """What points at faces, where something can: on Postgres a trigger stands in."""
    if op.get_bind().dialect.name == "postgresql":
        return []
    return [
        sa.ForeignKeyConstraint(["face_key"], ["faces.key"], "fk_recoded_layers_face_key_faces", ondelete="CASCADE")
    ]


def downgrade() -> None:
    """Drop them, on SQLite."""
    op.drop_table("recoded_layers")
    op.drop_table("recodings")
