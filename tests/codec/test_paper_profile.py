"""The paper's own configuration: one multi-task feature says everything; what holds for every profile holds for it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.samples import sample
from streamproc import FaceCodec, FaceFinder
from streamproc.codec.base_layer import MAX_BYTES
from streamproc.codec.profiles import profile_path
from streamproc.codec.shape import SHAPES
from streamproc.codec.weights import load_weights
from streamproc.errors import CodecError, CorruptCode, WeightsError
from streamproc.evaluation.coded_set import base_excess, enhancement_excess
from streamproc.evaluation.pictures import psnr
from streamproc.media.photo import read_photo
from streamproc.types import FaceCode, Image

MAX_FILE = 18_000_000


@pytest.fixture(scope="module")
def codec() -> FaceCodec:
    return FaceCodec.load("paper", "cpu")


@pytest.fixture(scope="module")
def crops() -> Image:
    """(6, 256, 256, 3): the six people of t1.jpg."""
    return np.stack([crop.image for crop in FaceFinder.load("cpu").find(read_photo(sample("t1.jpg")))])


@pytest.fixture(scope="module")
def codes(codec: FaceCodec, crops: Image) -> list[FaceCode]:
    return codec.encode(crops, quality=3)


def test_it_is_what_the_paper_describes(codec: FaceCodec) -> None:
    weights = load_weights("paper")
    assert weights.shape == SHAPES["paper"]
    assert not weights.shape.split
    assert profile_path("paper").stat().st_size <= MAX_FILE
    # The hyper-decoder is told nothing of the base and gives no means.
    hyper = weights.part("hyper_decoder")
    assert not hyper["base_weight"].any()
    assert not hyper["last_weight"][weights.shape.residual_latents :].any()
    assert not weights.part("context")


def test_both_layers_come_back(codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    bases, enhancements = [code.base for code in codes], [code.enhancement for code in codes]
    assert all(0 < len(base) <= MAX_BYTES for base in bases)
    coarse, fine = codec.reconstruct(bases), codec.reconstruct(bases, enhancements)
    assert coarse.shape == fine.shape == crops.shape
    assert psnr(crops, coarse).mean() > 12
    assert (psnr(crops, fine) > psnr(crops, coarse) + 3).all()
    assert base_excess(codec, bases) < 1
    assert all(enhancement_excess(codec, code.enhancement or b"", code.base) < 1 for code in codes)


@settings(max_examples=20, deadline=None)
@given(kept=st.lists(st.booleans(), min_size=6, max_size=6))
def test_dropping_enhancements_never_breaks_the_base(codec: FaceCodec, codes: list[FaceCode], kept: list[bool]) -> None:
    bases = [code.base for code in codes]
    mixed = [code.enhancement if keep else None for code, keep in zip(codes, kept, strict=True)]
    pictures, coarse = codec.reconstruct(bases, mixed), codec.reconstruct(bases)
    for n, keep in enumerate(kept):
        assert (pictures[n] != coarse[n]).any() == keep
    np.testing.assert_array_equal(codec.features(bases), codec.features([code.base for code in codes]))


def test_the_feature_survives_coding(codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    decoded, raw = codec.features([code.base for code in codes]), codec.raw_features(crops)
    assert raw.shape == decoded.shape == (6, 128)
    np.testing.assert_allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-5)
    similarity = decoded @ raw.T
    assert (similarity.diagonal() > 0.9).all()
    assert (similarity.argmax(axis=1) == np.arange(6)).all()


def test_the_feature_is_not_the_pretrained_one(codec: FaceCodec, crops: Image) -> None:
    pretrained = FaceCodec.load(device="cpu").raw_features(crops)
    cosines = (codec.raw_features(crops) * pretrained).sum(axis=1)
    assert (cosines < 0.999).all()
    assert (cosines > 0.5).all(), "the pretrained net taught it"


def test_unusual_pictures_keep_the_promise_of_48_bytes(codec: FaceCodec) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (6, 256, 256, 3), np.uint8)
    noise[0], noise[1], noise[2] = 0, 255, np.indices((256, 256)).sum(axis=0)[..., None] % 2 * 255
    codes = codec.encode(noise, quality=0)
    assert all(len(code.base) <= MAX_BYTES for code in codes)
    assert codec.reconstruct([c.base for c in codes], [c.enhancement for c in codes]).shape == noise.shape


@settings(max_examples=60, deadline=None)
@given(data=st.binary(min_size=0, max_size=60))
def test_hostile_bases_are_decoded_or_refused(codec: FaceCodec, data: bytes) -> None:
    try:
        symbols = codec.base.code.unpack([data])
    except CorruptCode:
        return
    assert symbols.shape == (1, 128)


def test_the_other_profiles_codes_are_refused(codec: FaceCodec, crops: Image, codes: list[FaceCode]) -> None:
    default = FaceCodec.load(device="cpu")
    assert default.codec_id != codec.codec_id
    with pytest.raises(CorruptCode):
        default.reconstruct([codes[0].base], [codes[0].enhancement])
    with pytest.raises(CodecError):
        codec.encode(crops, quality=99)


def test_weights_without_the_top_of_the_trunk_are_refused() -> None:
    weights = load_weights("paper")
    tensors = {name: tensor for name, tensor in weights.tensors.items() if not name.startswith("trunk.")}
    with pytest.raises(WeightsError, match="trunk"):
        FaceCodec(replace(weights, tensors=tensors), "cpu")
    with pytest.raises(WeightsError, match="appearance"):
        FaceCodec(replace(weights, shape=SHAPES["default"]), "cpu")
