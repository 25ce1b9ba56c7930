"""Codes that the shipped weights once wrote decode to the same symbols, and to the same face but for rounding.

`python tests/codec/test_golden_codes.py PROFILE` writes a profile's file anew, which new weights ask for and nothing
else may.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from pipelines.samples import sample
from streamproc import FaceCodec, FaceFinder
from streamproc.media.photo import read_photo
from streamproc.types import FloatArray

PROFILES = ("default", "paper")
FACES = 3


def golden_path(profile: str) -> Path:
    return Path(__file__).parents[1] / "golden" / f"{profile}_codes.json"


def symbols_crc(codec: FaceCodec, base: bytes, enhancement: bytes) -> int:
    """CRC-32 of every decoded symbol of both layers."""
    found = codec.enhancement.symbols(enhancement, base)
    crc = 0
    for part in (codec.base.code.unpack([base])[0], found.hyper, found.latent):
        crc = zlib.crc32(part.astype("<i4").tobytes(), crc)
    return crc


def thumbnail(codec: FaceCodec, base: bytes, enhancement: bytes | None) -> FloatArray:
    """(8, 8, 3) block means of the decoded picture."""
    picture = codec.reconstruct([base], [enhancement])[0].astype(np.float32)
    means: FloatArray = picture.reshape(8, 32, 8, 32, 3).mean(axis=(1, 3))
    return means


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("n", range(FACES))
def test_golden(n: int, profile: str) -> None:
    golden = json.loads(golden_path(profile).read_text())
    codec = FaceCodec.load(profile, "cpu")
    assert codec.codec_id == golden["codec_id"], "other weights: write the golden codes anew, and say so in CHANGELOG"
    face = golden["faces"][n]
    base, enhancement = bytes.fromhex(face["base"]), bytes.fromhex(face["enhancement"])
    assert symbols_crc(codec, base, enhancement) == face["symbols_crc"]
    np.testing.assert_allclose(codec.features([base])[0], face["feature"], atol=1e-4)
    np.testing.assert_allclose(thumbnail(codec, base, None), face["coarse"], atol=1)
    np.testing.assert_allclose(thumbnail(codec, base, enhancement), face["fine"], atol=1)


def write(profile: str) -> None:
    """Codes the first faces of t1.jpg and notes what they decode to."""
    codec = FaceCodec.load(profile, "cpu")
    crops = np.stack([crop.image for crop in FaceFinder.load("cpu").find(read_photo(sample("t1.jpg")))[:FACES]])
    faces = []
    for code in codec.encode(crops, quality=1):
        assert code.enhancement is not None
        faces.append(
            {
                "base": code.base.hex(),
                "enhancement": code.enhancement.hex(),
                "symbols_crc": symbols_crc(codec, code.base, code.enhancement),
                "feature": codec.features([code.base])[0].round(6).tolist(),
                "coarse": thumbnail(codec, code.base, None).round(2).tolist(),
                "fine": thumbnail(codec, code.base, code.enhancement).round(2).tolist(),
            }
        )
    golden_path(profile).write_text(json.dumps({"codec_id": codec.codec_id, "faces": faces}) + "\n")


if __name__ == "__main__":
    write(sys.argv[1])
