"""`evaluate held-out`: the base layer on training faces and on people kept out of training, beside the transforms that
its nets began as. What is chosen is chosen by these figures; LFW is for the end."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamproc.codec.face_codec import FaceCodec
from streamproc.evaluation.coded_set import identity_bits
from streamproc.evaluation.feature_coders import ScalarCoder
from streamproc.evaluation.picture_methods import COMPONENT_SIZE, Ours, PictureMethod, PrincipalComponents
from streamproc.evaluation.pictures import psnr
from streamproc.training.calibration import accepted_share, pair_similarities
from streamproc.training.data import NO_IDENTITY, TrainingFaces, load_faces
from streamproc.training.loop import Progress
from streamproc.training.texture import MIN_VISIBLE
from streamproc.types import Array, FloatArray

FACES = 500


@dataclass(frozen=True, slots=True)
class PictureRow:
    """Base-only pictures of `faces` ("trained on" or "held out"): mean bits and PSNR (dB) at 256x256."""

    method: str
    faces: str
    bits: float
    psnr: float


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """Held-out people with names: mean bits, and the share of same-person pairs above the similarity that 1 in 1,000
    pairs of strangers reach."""

    method: str
    bits: float
    tar: float


@dataclass(frozen=True, slots=True)
class HeldOutResult:
    """All rows, and the codec they are of."""

    pictures: tuple[PictureRow, ...]
    features: tuple[FeatureRow, ...]
    codec_id: str


def evaluate(faces: Path, codec: FaceCodec, count: int, progress: Progress) -> HeldOutResult:
    """The figures on `count` training faces and as many held-out ones; raises SourceNotFound without prepared faces."""
    data = load_faces(faces)
    pictures = tuple(_pictures(data, codec, count, progress))
    return HeldOutResult(pictures, tuple(_features(data, codec)), codec.codec_id)


def _pictures(data: TrainingFaces, codec: FaceCodec, count: int, progress: Progress) -> Iterator[PictureRow]:
    held, seen = data.held_out(), data.visible >= MIN_VISIBLE
    rows = {"held out": np.flatnonzero(held & seen)[:count], "trained on": np.flatnonzero(~held & seen)[:count]}
    crops = data.crops[rows["held out"]]
    bases = codec.base.encode(crops, _raw(data, codec, rows["held out"]))
    whole = 8 * float(np.mean([len(base) for base in bases]))
    identity = float(identity_bits(codec, bases).mean())
    training = data.crops[~held]
    methods: dict[str, PictureMethod] = {
        "base layer": Ours(codec, None),
        "components in all of the bits": PrincipalComponents(training, COMPONENT_SIZE, whole),
    }
    if codec.shape.split:
        appearance = PrincipalComponents(training, COMPONENT_SIZE, whole - identity)
        methods["components in the appearance's bits"] = appearance
    for n, (name, method) in enumerate(methods.items()):
        for kind, chosen in rows.items():
            coded = method.code(data.crops[chosen])
            quality = float(psnr(data.crops[chosen], coded.pictures).mean())
            yield PictureRow(name, kind, float(coded.bytes.mean() * 8), quality)
        progress("pictures", n + 1, len(methods))


def _features(data: TrainingFaces, codec: FaceCodec) -> Iterator[FeatureRow]:
    named = data.held_out() & (data.identities != NO_IDENTITY)
    raw, identities = _raw(data, codec, named), data.identities[named]
    yield FeatureRow("feature before coding", 32.0 * raw.shape[1], _tar(raw, identities))
    bases = codec.base.encode(data.crops[named], raw)
    bits = float(identity_bits(codec, bases).mean())
    decoded = codec.features(bases)
    yield FeatureRow("identity of the base layer", bits, _tar(decoded, identities))
    yield FeatureRow("the same, searched with the feature before coding", bits, _tar(decoded, identities, raw))
    if not codec.shape.split:
        # Its feature's own training set would take the trunk ten minutes.
        return
    klt = ScalarCoder(bits, transform=True)
    klt.fit(data.features[~data.held_out()], data.identities[~data.held_out()])
    payloads = klt.encode(raw)
    yield FeatureRow("Karhunen-Loeve transform", klt.ideal_bits(payloads), _tar(klt.decode(payloads), identities))


def _raw(data: TrainingFaces, codec: FaceCodec, rows: Array) -> FloatArray:
    """Features before coding of some faces: the pretrained trunk's lie with them, another's are computed."""
    return data.features[rows] if codec.shape.split else codec.raw_features(data.crops[rows])


def _tar(features: FloatArray, identities: npt.NDArray[np.int64], asked: FloatArray | None = None) -> float:
    return accepted_share(*pair_similarities(features, identities, asked))
