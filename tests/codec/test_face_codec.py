"""The codec's door: shapes, bytes, determinism, hostile input."""

import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.samples import sample
from streamproc import FaceCodec, FaceFinder
from streamproc.codec.base_layer import MAX_BYTES
from streamproc.codec.bitstream import NOTHING
from streamproc.codec.weights import load_weights, save_weights
from streamproc.errors import CodecError, CorruptCode, WeightsError
from streamproc.evaluation.coded_set import base_excess, enhancement_excess
from streamproc.evaluation.pictures import psnr
from streamproc.types import FaceCode, Image

GOLDEN = [
    (bytes.fromhex(face["base"]), bytes.fromhex(face["enhancement"]))
    for face in json.loads((Path(__file__).parents[1] / "golden" / "default_codes.json").read_text())["faces"]
]
"""Base and enhancement layers by the shipped weights."""


@pytest.fixture(scope="module")
def codec() -> FaceCodec:
    return FaceCodec.load(device="cpu")


@pytest.fixture(scope="module")
def crops() -> Image:
    """(6, 256, 256, 3): the six people of t1.jpg."""
    picture = cv2.cvtColor(cv2.imread(str(sample("t1.jpg"))), cv2.COLOR_BGR2RGB).astype(np.uint8)
    return np.stack([crop.image for crop in FaceFinder.load("cpu").find(picture)])


@pytest.fixture(scope="module")
def codes(codec: FaceCodec, crops: Image) -> list[FaceCode]:
    return codec.encode(crops, quality=3)


def test_layers(codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    bases = [code.base for code in codes]
    enhancements = [code.enhancement for code in codes]
    assert all(code.codec_id == codec.codec_id for code in codes)
    assert all(0 < len(base) <= MAX_BYTES for base in bases)
    coarse, fine = codec.reconstruct(bases), codec.reconstruct(bases, enhancements)
    assert coarse.shape == fine.shape == crops.shape
    assert coarse.dtype == fine.dtype == np.uint8
    assert psnr(crops, coarse).mean() > 15
    assert (psnr(crops, fine) > psnr(crops, coarse) + 3).all()


def test_features_survive_coding(codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    decoded, raw = codec.features([code.base for code in codes]), codec.raw_features(crops)
    assert decoded.shape == raw.shape == (6, 128)
    np.testing.assert_allclose(np.linalg.norm(decoded, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-5)
    similarity = decoded @ raw.T
    assert (similarity.diagonal() > 0.9).all()
    assert (similarity - np.eye(6)).max() < 0.6, "six different people"


def test_who_it_is_can_be_told_from_more_than_the_crop(codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    others = codec.raw_features(crops)[::-1]
    told = codec.encode(crops, None, others)
    assert ((codec.features([code.base for code in told]) * others).sum(axis=1) > 0.85).all()
    shown = [codec.reconstruct([code.base for code in some]) for some in (codes, told)]
    assert (psnr(crops, shown[1]) > psnr(crops, shown[0]) - 2).all()
    own = codec.encode(crops, None, codec.raw_features(crops))
    assert [code.base for code in own] == [code.base for code in codes]


def test_dropping_the_enhancement_leaves_the_base_as_it_was(codec: FaceCodec, codes: list[FaceCode]) -> None:
    bases = [code.base for code in codes]
    mixed = [code.enhancement if n % 2 else None for n, code in enumerate(codes)]
    pictures, coarse = codec.reconstruct(bases, mixed), codec.reconstruct(bases)
    np.testing.assert_array_equal(pictures[::2], coarse[::2])
    assert (pictures[1::2] != coarse[1::2]).any()


def test_rate_points_rise(codec: FaceCodec, crops: Image) -> None:
    sizes, quality = [], []
    for point in codec.qualities:
        coded = codec.encode(crops[:3], point)
        sizes.append(sum(len(code.enhancement or b"") for code in coded))
        shown = codec.reconstruct([code.base for code in coded], [code.enhancement for code in coded])
        quality.append(psnr(crops[:3], shown).mean())
    assert sizes == sorted(sizes)
    assert quality[-1] > quality[0] + 2


def test_base_only(codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    alone = codec.encode(crops, quality=None)
    assert [code.enhancement for code in alone] == [None] * 6
    assert [code.base for code in alone] == [code.base for code in codes]


def test_nothing_is_nothing(codec: FaceCodec) -> None:
    assert codec.encode(np.zeros((0, 256, 256, 3), np.uint8)) == []
    assert codec.features([]).shape == (0, 128)
    assert codec.reconstruct([]).shape == (0, 256, 256, 3)


def test_unusual_pictures_keep_the_promise_of_48_bytes(codec: FaceCodec) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (8, 256, 256, 3), np.uint8)
    noise[0], noise[1], noise[2] = 0, 255, np.indices((256, 256)).sum(axis=0)[..., None] % 2 * 255
    codes = codec.encode(noise, quality=0)
    assert max(len(code.base) for code in codes) <= MAX_BYTES
    assert codec.reconstruct([c.base for c in codes], [c.enhancement for c in codes]).shape == noise.shape


def test_a_face_far_from_its_base_picture_is_coded_alone(codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    flat = np.full((1, 256, 256, 3), 120, np.uint8)
    wrong = np.full_like(flat, 255)
    payload = codec.enhancement.encode(flat, wrong, [codes[0].base], 2)
    assert codec.enhancement.symbols(payload[0], codes[0].base).header.share == NOTHING
    back = codec.enhancement.decode(payload, wrong, [codes[0].base])
    assert np.abs(back.astype(int) - flat).max() <= 2


def test_wrong_arguments(codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    with pytest.raises(CodecError, match="quality"):
        codec.encode(crops, quality=99)
    with pytest.raises(CodecError, match="256"):
        codec.encode(crops[:, :100])
    with pytest.raises(CodecError, match="uint8"):
        codec.encode(crops.astype(np.float32))
    with pytest.raises(CodecError, match="pair"):
        codec.reconstruct([codes[0].base], [])
    with pytest.raises(CorruptCode):
        codec.reconstruct([codes[1].base], [codes[0].enhancement])


def test_the_coder_stays_within_a_byte_of_the_ideal(codec: FaceCodec, codes: list[FaceCode]) -> None:
    assert base_excess(codec, [code.base for code in codes]) <= 1
    assert max(enhancement_excess(codec, code.enhancement or b"", code.base) for code in codes) <= 1


MACHINES = [
    {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    {"OPENBLAS_CORETYPE": "Prescott", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    {"OPENBLAS_CORETYPE": "Haswell", "ONEDNN_MAX_CPU_ISA": "AVX2"},
]
"""Threads, and the kernels that the libraries choose on other processors."""

SAY = """
import json, sys, zlib
from streamproc import FaceCodec
codec, codes = FaceCodec.load(device="cpu"), json.load(sys.stdin)
bases = [bytes.fromhex(base) for base, _ in codes]
crc = zlib.crc32(codec.base.code.unpack(bases).tobytes())
for base, (_, enhancement) in zip(bases, codes):
    found = codec.enhancement.symbols(bytes.fromhex(enhancement), base)
    crc = zlib.crc32(found.latent.tobytes(), zlib.crc32(found.hyper.tobytes(), crc))
print(crc)
"""


def test_symbols_are_the_same_on_every_machine(codes: list[FaceCode]) -> None:
    """Threads and processor change the last bits of floating point: no symbol may hang on them."""
    asked = json.dumps([(code.base.hex(), (code.enhancement or b"").hex()) for code in codes])
    said = set()
    for machine in MACHINES:
        command = [sys.executable, "-c", SAY]
        done = subprocess.run(command, env=os.environ | machine, input=asked, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.add(done.stdout)
    assert len(said) == 1


def test_symbols_are_the_same_in_every_batch(codec: FaceCodec, codes: list[FaceCode]) -> None:
    base = [c.base for c in codes]
    reference = [codec.enhancement.symbols(c.enhancement or b"", c.base) for c in codes]
    wanted = [codec.enhancement.indexes([r], [b])[0] for r, b in zip(reference, base, strict=True)]
    batch = 64
    found = [reference[n % len(reference)] for n in range(batch)]
    many = codec.enhancement.indexes(found, [base[n % len(base)] for n in range(batch)])
    for n in range(batch):
        np.testing.assert_array_equal(many[n], wanted[n % len(reference)])
    np.testing.assert_array_equal(codec.base.code.unpack(base * 11), np.tile(codec.base.code.unpack(base), (11, 1)))


MUTATIONS = st.tuples(st.sampled_from(["cut", "flip", "random", "foreign", "grow"]), st.integers(0, 2**32 - 1))


def damaged(data: bytes, other: bytes, kind: str, seed: int) -> bytes:
    chance = random.Random(seed)
    if kind == "cut":
        return data[: chance.randrange(len(data))]
    if kind == "flip":
        place = chance.randrange(len(data))
        return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
    if kind == "random":
        return chance.randbytes(chance.randrange(300))
    return other if kind == "foreign" else data + chance.randbytes(1 + chance.randrange(20))


@given(MUTATIONS, st.integers(0, 5))
@settings(max_examples=8000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_base_layers(codec: FaceCodec, codes: list[FaceCode], how: tuple[str, int], n: int) -> None:
    """Refused, or a valid feature: the checksum beside it in the archive tells (tests/storage)."""
    data = damaged(codes[n].base, (codes[n].enhancement or b"")[:40], *how)
    try:
        symbols = codec.base.code.unpack([data])
    except CorruptCode:
        return
    assert symbols.shape == (1, len(codec.base.code))
    feature = codec.features([data])
    assert np.isfinite(feature).all()
    assert abs(np.linalg.norm(feature) - 1) < 1e-4


@given(MUTATIONS, st.integers(0, len(GOLDEN) - 1))
@settings(
    max_examples=2000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_enhancements_are_refused(codec: FaceCodec, how: tuple[str, int], n: int) -> None:
    """The same damage of the same layers each time: a checksum of 16 bits lets one in 65,536 pass."""
    (base, enhancement), (_, foreign) = GOLDEN[n], GOLDEN[n - 1]
    with pytest.raises(CorruptCode):
        codec.enhancement.symbols(damaged(enhancement, foreign, *how), base)


def test_weights_by_path_and_damaged(tmp_path: Path, codec: FaceCodec) -> None:
    weights = load_weights("default")
    path = tmp_path / "own.safetensors"
    save_weights(weights, path)
    assert FaceCodec.load(str(path), device="cpu").codec_id == codec.codec_id
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        FaceCodec.load(str(path), device="cpu")
    path.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="damaged"):
        FaceCodec.load(str(path), device="cpu")
    with pytest.raises(WeightsError, match="default"):
        FaceCodec.load("no-such-profile")
    short = replace(weights, tensors={k: v for k, v in weights.tensors.items() if not k.startswith("texture.")})
    save_weights(short, path)
    with pytest.raises(WeightsError, match="texture"):
        FaceCodec.load(str(path), device="cpu")


def test_a_missing_trunk_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, crops: Image) -> None:
    monkeypatch.setenv("STREAMPROC_CACHE", str(tmp_path))
    fresh = FaceCodec.load(device="cpu")
    with pytest.raises(WeightsError, match="streamproc setup"):
        fresh.raw_features(crops[:1])
