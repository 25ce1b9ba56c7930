"""A face that the shipped weights once coded, and what it decodes to: whether this machine decodes like others.

Decoded symbols are the same everywhere, or every picture is ruined; features and pictures differ by rounding alone.
"""

import json
import zlib
from importlib.resources import files

import numpy as np

from streamproc.codec.face_codec import FaceCodec
from streamproc.errors import CodecError
from streamproc.types import FloatArray

FEATURE_ROUNDING = 1e-4
PICTURE_ROUNDING = 1.0
"""Grey levels, in means over blocks of 32 pixels."""
_BLOCKS, _SIDE = 8, 32


def require_known_decoding(codec: FaceCodec) -> bool:
    """Whether a known code of these weights was decoded; False where there is none, for they are not shipped ones.

    Raises CodecError where it decodes to something else here.
    """
    for file in (files("streamproc.codec") / "known").iterdir():
        known = json.loads(file.read_text(encoding="utf-8"))
        if known["codec_id"] == codec.codec_id:
            _compare(codec, known["face"])
            return True
    return False


def _compare(codec: FaceCodec, face: dict[str, str | int | list[float]]) -> None:
    base, enhancement = bytes.fromhex(str(face["base"])), bytes.fromhex(str(face["enhancement"]))
    if symbols_crc(codec, base, enhancement) != face["symbols_crc"]:
        raise CodecError("A known code decodes to other symbols on this machine: no face can be shown, update numpy.")
    compared = (
        ("feature", codec.features([base])[0], FEATURE_ROUNDING),
        ("coarse", thumbnail(codec, base, None), PICTURE_ROUNDING),
        ("fine", thumbnail(codec, base, enhancement), PICTURE_ROUNDING),
    )
    for name, found, rounding in compared:
        off = float(np.abs(found - np.asarray(face[name])).max())
        if not off <= rounding:
            raise CodecError(
                f"A known code decodes to another {name.replace('coarse', 'picture').replace('fine', 'fine picture')} "
                f"on this machine (off by {off:.3g}): remove the cache folder's `nets`, then run `streamproc setup`."
            )


def symbols_crc(codec: FaceCodec, base: bytes, enhancement: bytes) -> int:
    """CRC-32 of every decoded symbol of both layers."""
    found = codec.enhancement.symbols(enhancement, base)
    crc = 0
    for part in (codec.base.code.unpack([base])[0], found.hyper, found.latent):
        crc = zlib.crc32(part.astype("<i4").tobytes(), crc)
    return crc


def thumbnail(codec: FaceCodec, base: bytes, enhancement: bytes | None) -> FloatArray:
    """(8, 8, 3) float32 block means of the decoded picture."""
    picture = codec.reconstruct([base], [enhancement])[0].astype(np.float32)
    means: FloatArray = picture.reshape(_BLOCKS, _SIDE, _BLOCKS, _SIDE, 3).mean(axis=(1, 3))
    return means
