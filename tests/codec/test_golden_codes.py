"""Codes that the shipped weights once wrote decode to the same symbols, and to the same face but for rounding.

`python tests/codec/test_golden_codes.py PROFILE` writes a profile's file anew, which new weights ask for and nothing
else may.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.samples import sample
from streamproc import FaceCodec, FaceFinder
from streamproc.codec import known_code
from streamproc.codec.known_code import require_known_decoding, symbols_crc, thumbnail
from streamproc.errors import CodecError
from streamproc.media.photo import read_photo

PROFILES = ("default", "paper")
FACES = 3


def golden_path(profile: str) -> Path:
    return Path(__file__).parents[1] / "golden" / f"{profile}_codes.json"


def known_path(profile: str) -> Path:
    """What `doctor` compares with, which is shipped: the first face of the golden ones."""
    return Path(known_code.__file__).with_name("known") / f"{profile}.json"


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


@pytest.mark.parametrize("profile", PROFILES)
def test_known_codes_are_golden_ones(profile: str) -> None:
    golden = json.loads(golden_path(profile).read_text())
    known = json.loads(known_path(profile).read_text())
    assert known == {"codec_id": golden["codec_id"], "face": golden["faces"][0]}


def test_a_machine_that_decodes_otherwise_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = FaceCodec.load("default", "cpu")
    assert require_known_decoding(codec)
    monkeypatch.setattr(codec, "features", lambda bases: np.zeros((len(bases), 128), np.float32))
    with pytest.raises(CodecError, match="another feature on this machine"):
        require_known_decoding(codec)
    monkeypatch.setattr(known_code, "symbols_crc", lambda *_: 0)
    with pytest.raises(CodecError, match="other symbols"):
        require_known_decoding(codec)
    monkeypatch.setattr(codec, "codec_id", "mine")
    assert not require_known_decoding(codec)


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
    known_path(profile).write_text(json.dumps({"codec_id": codec.codec_id, "face": faces[0]}) + "\n")


if __name__ == "__main__":
    write(sys.argv[1])
