"""`evaluate lfw`: what the codec keeps of identity and of the picture, on LFW's 6,000 pairs (view 2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamproc.codec.face_codec import FaceCodec
from streamproc.errors import SourceNotFound
from streamproc.evaluation.coded_set import CodedSet, base_excess, coded_set, enhancement_excess
from streamproc.evaluation.lfw_set import SHARD, LfwPairs, LfwSet, sampled
from streamproc.evaluation.picture_methods import COMPONENT_SIZE, PrincipalComponents
from streamproc.evaluation.pictures import bits_per_pixel, psnr
from streamproc.evaluation.verification import Verification
from streamproc.training.data import load_faces
from streamproc.training.loop import Progress
from streamproc.types import CROP_SIZE, Image

CHUNK = 64
PICTURES = 150
"""Faces whose enhancement layers are measured, at every rate point; base layers are measured on all."""


@dataclass(frozen=True, slots=True)
class RatePoint:
    """An enhancement rate: mean bits a pixel of the enhancement alone and with the base, mean PSNR (dB) of the full
    reconstruction."""

    quality: int
    enhancement_bpp: float
    total_bpp: float
    psnr: float


@dataclass(frozen=True, slots=True)
class LfwResult:
    """The figures. Bytes are counted from payloads; `coder_excess_bytes` is the longest base payload's or enhancement's
    lead over its ideal code length; `not_found` counts pictures cropped at LFW's mean place. `asked`: of a pair's
    features the first is raw and the second decoded, as a photo is searched for. `components_psnr`: the pictures of
    principal components in the base layers' mean bytes, None where no training faces are prepared."""

    images: int
    pairs: int
    not_found: int
    raw: Verification
    decoded: Verification
    asked: Verification
    base_bytes_mean: float
    base_bytes_max: int
    base_bpp: float
    base_psnr: float
    components_psnr: float | None
    pictures: int
    rates: tuple[RatePoint, ...]
    coder_excess_bytes: float
    codec_id: str


def evaluate(images: LfwSet, pairs: LfwPairs, codec: FaceCodec, faces: Path, progress: Progress) -> LfwResult:
    """The figures on `pairs`, whose images are the first of `images`; `faces` is the folder of prepared training faces,
    of which principal components are taken where there are any."""
    count = len(pairs.names)
    coded = coded_set(images, codec, count, progress)
    base_psnr, missed = _base_pictures(images, coded, codec, progress)
    crops = images.crops(sampled(pairs.names, PICTURES))
    rates, excess = _rates(codec, crops, progress)
    lengths = np.array([len(base) for base in coded.bases])
    components = _components(images, count, faces, 8 * float(lengths.mean()))
    progress("principal components", 1, 1)
    decoded = codec.features(coded.bases)
    return LfwResult(
        images=count,
        pairs=len(pairs.same),
        not_found=missed,
        raw=pairs.verify(coded.raw),
        decoded=pairs.verify(decoded),
        asked=pairs.verify(decoded, coded.raw),
        base_bytes_mean=float(lengths.mean()),
        base_bytes_max=int(lengths.max()),
        base_bpp=float(lengths.mean() * 8 / CROP_SIZE**2),
        base_psnr=base_psnr,
        components_psnr=components,
        pictures=len(crops),
        rates=rates,
        coder_excess_bytes=max(excess, base_excess(codec, coded.bases)),
        codec_id=codec.codec_id,
    )


def _base_pictures(images: LfwSet, coded: CodedSet, codec: FaceCodec, progress: Progress) -> tuple[float, int]:
    """(mean PSNR of the pictures from base layers alone, images without a face found)."""
    count = len(coded.bases)
    decibels, missed = [], 0
    for start in range(0, count, SHARD):
        shard = images.shard(start // SHARD)
        bases = coded.bases[start : start + SHARD]
        decibels.append(psnr(shard.crops[: len(bases)], codec.reconstruct(bases)))
        missed += int((~shard.found[: len(bases)]).sum())
        progress("base pictures", start + len(bases), count)
    return float(np.concatenate(decibels).mean()), missed


def _components(images: LfwSet, count: int, faces: Path, bits: float) -> float | None:
    """Mean PSNR of principal components of `faces`, coded in `bits` a picture; None where none are prepared."""
    try:
        data = load_faces(faces)
    except SourceNotFound:
        return None
    crops = images.crops(range(count))
    shown = PrincipalComponents(data.crops[~data.held_out()], COMPONENT_SIZE, bits).code(crops).pictures
    return float(psnr(crops, shown).mean())


def _rates(codec: FaceCodec, crops: Image, progress: Progress) -> tuple[tuple[RatePoint, ...], float]:
    """(every rate point on `crops`, the largest lead of an enhancement over its ideal code length, bytes)."""
    points, excess = [], 0.0
    for quality in codec.qualities:
        codes = [code for part in _parts(crops) for code in codec.encode(part, quality)]
        extra = [code.enhancement or b"" for code in codes]
        pictures = codec.reconstruct([code.base for code in codes], extra)
        rate = float(np.mean([bits_per_pixel(data) for data in extra]))
        base = float(np.mean([bits_per_pixel(code.base) for code in codes]))
        points.append(RatePoint(quality, rate, rate + base, float(psnr(crops, pictures).mean())))
        excess = max(excess, *(enhancement_excess(codec, code.enhancement or b"", code.base) for code in codes))
        progress("rate points", quality + 1, len(codec.qualities))
    return tuple(points), excess


def _parts(crops: Image) -> Iterator[Image]:
    for start in range(0, len(crops), CHUNK):
        yield crops[start : start + CHUNK]
