"""Whether faces of other codecs were coded anew with a codec: what every question about its layers begins with."""

from sqlalchemy import Connection, select

from storage.schema import Codec, Recoding


def recoding_key(connection: Connection, codec_id: str) -> int:
    """The key of the codec's recoding; 0 where there is none, as nearly always."""
    question = select(Recoding.key).join_from(Recoding, Codec).where(Codec.id == codec_id)
    return connection.execute(question).scalar_one_or_none() or 0
