"""Whether the search indexes that are kept beside an archive agree with its base layers."""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, func, select

from storage.feed import FeedPosition, require_known
from storage.recoded import recoding_key
from storage.schema import Codec, Face, RecodedLayer, RemovedFace
from streamproc.errors import ArchiveError


def disagreeing(connection: Connection, folder: Path) -> Iterator[tuple[Path, str]]:
    """Each index below the folder that does not agree with the archive, and why.

    One that is behind does: the next search brings it up to date.
    """
    if not folder.is_dir():
        return
    from storage.index import VectorIndex  # takes a while to load

    for own in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            with VectorIndex.open(own) as index:
                position = FeedPosition.parse(index.position)
                require_known(connection, position, recoding_key(connection, own.name))
                least, most = _expected(connection, own.name, position)
                if not least <= index.faces <= most:
                    yield own, f"it has {index.faces} faces, and the archive {least}"
        except (ArchiveError, OSError) as error:
            yield own, str(error)


def _expected(connection: Connection, codec_id: str, position: FeedPosition) -> tuple[int, int]:
    """How many faces an index of what the codec wrote up to there has at least and at most: those that went since are
    in it or not."""
    held = select(func.count()).select_from(Face).join(Codec, Codec.key == Face.codec_key)
    count = connection.execute(held.where(Codec.id == codec_id, Face.key <= position.face_key)).scalar_one()
    anew = select(func.count()).where(
        RecodedLayer.recoding_key == position.recoding, RecodedLayer.key <= position.recoded
    )
    count += connection.execute(anew).scalar_one()
    late = select(func.count()).select_from(RemovedFace).where(RemovedFace.key > position.removal)
    return count, count + connection.execute(late).scalar_one()
