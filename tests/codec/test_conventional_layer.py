"""The enhancement layer by JPEG, JPEG 2000 and HEVC: round trips, mixed archives, frozen payloads, hostile bytes.

`python tests/codec/test_conventional_layer.py` writes the newest version's frozen payloads anew, which nothing may ask
for once they are released: heads and shares are a part of the format.
"""

import io
import json
import random
import zlib
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from pipelines.samples import sample
from storage import Archive
from streamproc import FaceCodec, FaceFinder
from streamproc.codec.bitstream import (
    ALL,
    NOTHING,
    SHARES,
    EnhancementHeader,
    PictureFile,
    Share,
    pack_file,
    read_header,
    unpack_file,
)
from streamproc.codec.conventional_layer import RATE_POINTS, ConventionalLayer, decode_files, whole_file
from streamproc.codec.hevc import encode_hevc
from streamproc.codec.picture_files import Jpeg
from streamproc.errors import CodecError, CorruptCode
from streamproc.evaluation.pictures import psnr
from streamproc.media.photo import read_photo
from streamproc.query import Reconstructor
from streamproc.types import CodedFace, CodedTrack, EnhancementCodec, FaceCode, FloatArray, FrameTime, Image, Layer

GOLDENS = [Path(__file__).parents[1] / "golden" / f"conventional_payloads_{version}.json" for version in (2, 3, 4)]
GOLDEN = [entry for path in GOLDENS if path.exists() for entry in json.loads(path.read_text())]
BASE = b"a base layer"
repeatable = settings(deadline=None, max_examples=300, derandomize=True)
conventional = pytest.mark.parametrize("name", RATE_POINTS)


def gradient() -> Image:
    """(1, 256, 256, 3): stands in for a base picture, whatever the weights."""
    y, x = np.indices((256, 256))
    picture: Image = np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8)[None]
    return picture


def mosaic() -> Image:
    """(1, 256, 256, 3) of tiles in chance colours up to 199."""
    tiles = np.random.default_rng(3).integers(0, 200, (16, 16, 3), np.uint8)
    return np.kron(tiles, np.ones((16, 16, 1), np.uint8))[None]


def faces() -> Image:
    """(6, 256, 256, 3): the six people of t1.jpg."""
    return np.stack([crop.image for crop in FaceFinder.load("cpu").find(read_photo(sample("t1.jpg")))])


@pytest.fixture(scope="module")
def crops() -> Image:
    return faces()


@pytest.fixture(scope="module")
def codec() -> FaceCodec:
    return FaceCodec.load(device="cpu")


@pytest.fixture(scope="module")
def codes(codec: FaceCodec, crops: Image) -> list[FaceCode]:
    """Learned ones, at the lowest rate point."""
    return codec.encode(crops, 0)


def layer(name: EnhancementCodec) -> ConventionalLayer:
    return ConventionalLayer(RATE_POINTS[name])


@conventional
def test_round_trip_at_each_rate_point(
    name: EnhancementCodec, codec: FaceCodec, crops: Image, codes: list[FaceCode]
) -> None:
    bases = [code.base for code in codes]
    shown = codec.reconstruct(bases)
    sizes, quality = [], []
    for point in range(5):
        payloads = layer(name).encode(crops, shown, bases, point)
        for payload in payloads:
            header = read_header(payload)
            assert (header.codec, header.quality) == (name, point)
            assert header.head > 0, "the library begins its files otherwise: add its heads to file_heads.json"
        pictures = codec.reconstruct(bases, payloads)
        # JPEG at its lowest gains 1.7 dB on a face whose base picture is good.
        gain = 1.5 if (name, point) == ("jpeg", 0) else 2
        assert (psnr(crops, pictures) > psnr(crops, shown) + gain).all()
        sizes.append(np.mean([len(payload) for payload in payloads]))
        quality.append(psnr(crops, pictures).mean())
    assert sizes == sorted(sizes)
    assert quality == sorted(quality)
    assert quality[-1] > 27


def test_the_door_writes_what_was_chosen_and_reads_all(codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    other = FaceCodec.load(device="cpu", enhancement="jpeg2000")
    assert other.codec_id == codec.codec_id
    assert other.qualities == (0, 1, 2, 3, 4)
    written = other.encode(crops, 4)
    assert [code.base for code in written] == [code.base for code in codes]
    kinds = [read_header(code.enhancement or b"").codec for code in (*written, *codes)]
    assert kinds == ["jpeg2000"] * 6 + ["learned"] * 6
    bases, mixed = [code.base for code in codes], [codes[0].enhancement, None, *(c.enhancement for c in written[2:])]
    pictures = other.reconstruct(bases, mixed)
    np.testing.assert_array_equal(pictures, codec.reconstruct(bases, mixed))
    for n in range(6):
        np.testing.assert_allclose(pictures[n], codec.reconstruct([bases[n]], [mixed[n]])[0], atol=1)
    with pytest.raises(CodecError, match="quality"):
        other.encode(crops, 5)


def test_an_unknown_enhancement_is_refused() -> None:
    with pytest.raises(CodecError, match=r"no enhancement 'webp': choose one of learned, jpeg, jpeg2000, hevc$"):
        FaceCodec.load(enhancement="webp")  # type: ignore[arg-type]


def test_an_archive_holds_all_kinds(tmp_path: Path, codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    bases = [code.base for code in codes]
    shown = codec.reconstruct(bases)
    for n, name in enumerate(RATE_POINTS):
        (payload,) = layer(name).encode(crops[n : n + 1], shown[n : n + 1], bases[n : n + 1], 4)
        codes = [*codes[:n], FaceCode(codec.codec_id, bases[n], payload), *codes[n + 1 :]]
    start = datetime(2026, 3, 1, tzinfo=UTC)
    held = tuple(
        CodedFace(
            FrameTime(0, n, Fraction(1), start + timedelta(seconds=n)),
            (0.0, 0.0, 9.0, 9.0),
            ((1.0, 1.0),) * 5,
            0.9,
            0.5,
            code,
            zlib.crc32(code.base),
        )
        for n, code in enumerate(codes)
    )
    with Archive.open(str(tmp_path / "a.db"), create=True) as archive:
        archive.register_codec(codec.codec_id, codec.profile)
        source = archive.begin_source("door", "door.mp4", "hash", start, codec.codec_id).id
        archive.add_track(source, CodedTrack(0, start, start + timedelta(seconds=9), 9, held))
        (track,) = archive.tracks()
        pictures = np.stack(Reconstructor(archive, codec).pictures(track.face_ids, Layer.FULL))
    np.testing.assert_array_equal(pictures, codec.reconstruct(bases, [code.enhancement for code in codes]))
    assert (psnr(crops, pictures) > psnr(crops, shown) + 2).all()


@conventional
def test_a_face_far_from_its_base_picture_is_coded_alone(name: EnhancementCodec) -> None:
    flat = np.full((1, 256, 256, 3), 120, np.uint8)
    (payload,) = layer(name).encode(flat, gradient(), [BASE], 0)
    assert read_header(payload).share == NOTHING
    assert np.abs(decode_files([payload], gradient(), [BASE]).astype(int) - flat).max() <= 1


@pytest.mark.parametrize("name", [name for name in RATE_POINTS if ALL in SHARES[name]])
def test_a_face_like_its_base_picture_is_coded_over_it(name: EnhancementCodec) -> None:
    shown = mosaic()
    (payload,) = layer(name).encode(shown + np.uint8(9), shown, [BASE], 0)
    assert read_header(payload).share == ALL
    assert len(payload) < 600


@pytest.mark.parametrize(("name", "share"), [(name, share) for name in RATE_POINTS for share in SHARES[name]])
def test_a_file_adds_to_its_share_of_the_base_picture(name: EnhancementCodec, share: Share) -> None:
    """Of the coarse part and of the fine one, as docs say them."""
    coder, grey = RATE_POINTS[name][-1], np.full((256, 256, 3), 51, np.uint8)
    payload = pack_file(PictureFile(EnhancementHeader(0, 0, 100, share, name), coder.encode(grey)), BASE)
    shown = mosaic().astype(np.float32)
    coarse = cv2.GaussianBlur(shown[0], (0, 0), 6)
    expected = 20 + coarse * share.coarse + (shown[0] - coarse) * share.fine
    assert np.abs(decode_files([payload], mosaic(), [BASE])[0] - expected).max() <= 2


@conventional
def test_any_decoder_reads_the_whole_file(name: EnhancementCodec, crops: Image) -> None:
    payload = layer(name).encode(crops[:1], gradient(), [BASE], 4)[0]
    file = whole_file(unpack_file(payload, BASE))
    starts = {"jpeg": b"\xff\xd8\xff", "jpeg2000": b"\xff\x4f\xff\x51", "hevc": b"\0\0\0\1"}
    assert file.startswith(starts[name])
    assert len(file) > len(payload) + 70
    if name != "hevc":
        read = cv2.cvtColor(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert np.abs(read.astype(int) - RATE_POINTS[name][0].decode(file)).mean() < 1


def test_a_file_that_begins_otherwise_is_stored_whole(crops: Image) -> None:
    coder = Jpeg(60)
    (payload,) = ConventionalLayer([coder]).encode(crops[:1], gradient(), [BASE], 0)
    file = unpack_file(payload, BASE)
    assert file.header.head == 0
    assert file.data == whole_file(file)
    assert psnr(crops[:1], decode_files([payload], gradient(), [BASE]))[0] > 30


def test_heads_of_later_versions_are_named() -> None:
    payload = pack_file(PictureFile(EnhancementHeader(0, 0, 0, NOTHING, "hevc", 15), b"x"), BASE)
    with pytest.raises(CorruptCode, match="head 15 of hevc: a newer streamproc"):
        decode_files([payload], gradient(), [BASE])


def jpeg_of(picture: Image, mode: str = "RGB", form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Picture.fromarray(picture).convert(mode).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("jpeg", b""),
        ("jpeg", jpeg_of(np.zeros((64, 64, 3), np.uint8))),
        ("jpeg", jpeg_of(np.zeros((256, 256, 3), np.uint8), "L")),
        ("jpeg", jpeg_of(np.zeros((256, 256, 3), np.uint8), form="PNG")),
        ("jpeg2000", jpeg_of(np.zeros((8, 8, 3), np.uint8), form="JPEG2000")),
        ("jpeg2000", b"\xff\x4f\xff\x51" + bytes(200)),
        ("hevc", b""),
        ("hevc", b"no stream"),
        ("hevc", bytes(100)),
        ("hevc", encode_hevc(np.zeros((64, 64, 3), np.uint8), 40)),
        ("hevc", encode_hevc(np.zeros((512, 512, 3), np.uint8), 40)),
    ],
)
def test_other_files_are_refused(name: EnhancementCodec, file: bytes) -> None:
    payload = pack_file(PictureFile(EnhancementHeader(0, -9, 9, NOTHING, name), file), BASE)
    with pytest.raises(CorruptCode, match=f"no {name} picture of 256x256"):
        decode_files([payload], gradient(), [BASE])


def golden_payload(n: int) -> bytes:
    return bytes.fromhex(GOLDEN[n]["hex"])


@repeatable
@given(
    st.integers(0, len(GOLDEN) - 1),
    st.sampled_from(["cut", "flip", "random", "foreign", "empty"]),
    st.integers(0, 2**32 - 1),
)
def test_damaged_payloads_are_refused(n: int, kind: str, seed: int) -> None:
    chance, data = random.Random(seed), golden_payload(n)
    place = chance.randrange(len(data))
    bad = {
        "cut": data[:place],
        "flip": data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :],
        "random": data[:6] + chance.randbytes(chance.randrange(300)),
        "foreign": data,
        "empty": b"",
    }[kind]
    with pytest.raises(CorruptCode):
        decode_files([bad], gradient(), [BASE if kind != "foreign" else b"another base"])


@repeatable
@given(st.integers(0, len(GOLDEN) - 1), st.booleans(), st.integers(0, 2**32 - 1))
def test_files_damaged_under_a_right_checksum_are_refused_or_pictures(n: int, whole: bool, seed: int) -> None:
    """Whoever writes the checksum too meets the libraries: whatever they say comes out as CorruptCode."""
    chance, file = random.Random(seed), unpack_file(golden_payload(n), BASE)
    header = file.header
    data = bytearray(whole_file(file) if whole else file.data)
    for _ in range(chance.randrange(1, 20)):
        place = chance.randrange(min(len(data), chance.choice((30, 200, len(data)))))
        data[place] = chance.choice((0, 255, chance.randrange(256)))
    del data[chance.choice((len(data), chance.randrange(len(data)))) :]
    head = 0 if whole else header.head
    header = EnhancementHeader(0, header.low, header.high, SHARES[header.codec][1], header.codec, head)
    try:
        picture = decode_files([pack_file(PictureFile(header, bytes(data)), BASE)], gradient(), [BASE])
    except CorruptCode:
        return
    assert picture.shape == (1, 256, 256, 3)


def thumbnail(payload: bytes) -> FloatArray:
    """(8, 8, 3) block means of what a payload shows over the gradient."""
    picture = decode_files([payload], gradient(), [BASE])[0].astype(np.float32)
    means: FloatArray = picture.reshape(8, 32, 8, 32, 3).mean(axis=(1, 3))
    return means


@pytest.mark.parametrize("n", range(27))
def test_golden(n: int) -> None:
    """Of versions 2 to 4: every head, a file stored whole, and a face coded alone."""
    entry = GOLDEN[n]
    payload = bytes.fromhex(entry["hex"])
    header = read_header(payload)
    codec, quality, head, share = entry["header"]
    assert (header.codec, header.quality, header.head) == (codec, quality, head)
    assert list(header.share) == (share if isinstance(share, list) else [share, share])
    np.testing.assert_allclose(thumbnail(payload), entry["thumbnail"], atol=1)


def write() -> None:
    """A blurred face on the gradient, and one far from it."""
    blurred = cv2.GaussianBlur(faces()[0], (0, 0), 6)[None]
    crop = (blurred // 4 + gradient() // 4 * 3).astype(np.uint8)
    coders = [(RATE_POINTS["jpeg"], n) for n in range(5)] + [(RATE_POINTS["jpeg2000"], 0), (RATE_POINTS["hevc"], 0)]
    payloads = [ConventionalLayer(c).encode(crop, gradient(), [BASE], n)[0] for c, n in coders]
    payloads.append(ConventionalLayer([Jpeg(4)]).encode(crop, gradient(), [BASE], 0)[0])
    payloads.append(layer("hevc").encode(blurred // 8 + 112, gradient(), [BASE], 0)[0])
    entries = []
    for payload in payloads:
        header = read_header(payload)
        told = [header.codec, header.quality, header.head, header.share]
        entries.append({"hex": payload.hex(), "header": told, "thumbnail": thumbnail(payload).round(2).tolist()})
    GOLDENS[-1].write_text(json.dumps(entries) + "\n")


if __name__ == "__main__":
    write()
