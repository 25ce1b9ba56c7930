"""`evaluate lfw`: what the codec keeps of identity and of the picture, on LFW's 6,000 pairs (view 2)."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from streamproc.codec.bitstream import HEADER_BYTES
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.range_coder import ideal_bits
from streamproc.errors import SourceNotFound
from streamproc.evaluation.pictures import bits_per_pixel, psnr
from streamproc.evaluation.verification import Verification, verify
from streamproc.faces.align import TEMPLATE
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo
from streamproc.types import CROP_SIZE, Detection, FloatArray, Image

CHUNK = 64
PICTURES = 150
"""Faces whose enhancement layers are measured, at every rate point; base layers are measured on all."""
MEAN_FACE = (TEMPLATE - CROP_SIZE / 2) * (93 / 144) + 125
"""Where LFW's landmarks lie on average, for the few pictures in which no face is found."""


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
    lead over its ideal code length; `not_found` counts pictures cropped at LFW's mean place."""

    images: int
    pairs: int
    not_found: int
    raw: Verification
    decoded: Verification
    base_bytes_mean: float
    base_bytes_max: int
    base_bpp: float
    base_psnr: float
    pictures: int
    rates: tuple[RatePoint, ...]
    coder_excess_bytes: float
    codec_id: str


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """LFW's pairs: `names` of the images, `left` and `right` (P,) indexes into them, `same` (P,), `fold` (P,)."""

    names: tuple[str, ...]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    same: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """What was measured of some images: features (N, 128) before and after coding, base payloads, PSNR (N,) of the base
    pictures, and the crops (K, 256, 256, 3) of the sample for the enhancement: keeping all would take 1.5 GB."""

    raw: FloatArray
    decoded: FloatArray
    bases: list[bytes]
    base_psnr: npt.NDArray[np.float64]
    crops: Image
    not_found: int


def evaluate(
    data: Path,
    codec: FaceCodec,
    finder: FaceFinder,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LfwResult:
    """The figures on `data` (folder with `pairs.txt` and `images/`), on the first `limit` pairs of each fold and class.

    `progress` is called with the images done and in all. Raises SourceNotFound when the set is not there.
    """
    pairs = read_pairs(data, limit)
    chunks: list[_Chunk] = []
    for start in range(0, len(pairs.names), CHUNK):
        chunks.append(_measure(data, pairs.names[start : start + CHUNK], codec, finder))
        if progress:
            progress(start + len(chunks[-1].bases), len(pairs.names))
    raw, decoded = (np.concatenate([getattr(c, name) for c in chunks]) for name in ("raw", "decoded"))
    bases = [base for chunk in chunks for base in chunk.bases]
    sample = np.concatenate([chunk.crops for chunk in chunks])[:PICTURES]
    rates, excess = _rates(codec, sample)
    lengths = np.array([len(base) for base in bases])
    return LfwResult(
        images=len(pairs.names),
        pairs=len(pairs.same),
        not_found=sum(chunk.not_found for chunk in chunks),
        raw=_verified(raw, pairs),
        decoded=_verified(decoded, pairs),
        base_bytes_mean=float(lengths.mean()),
        base_bytes_max=int(lengths.max()),
        base_bpp=float(lengths.mean() * 8 / CROP_SIZE**2),
        base_psnr=float(np.concatenate([chunk.base_psnr for chunk in chunks]).mean()),
        pictures=len(sample),
        rates=rates,
        coder_excess_bytes=max(excess, base_excess(codec, bases)),
        codec_id=codec.codec_id,
    )


def read_pairs(data: Path, limit: int | None = None) -> _Pairs:
    """The pairs of `pairs.txt`: ten folds of 300 pairs of one person, then 300 of two."""
    path = data / "pairs.txt"
    if not path.is_file():
        raise SourceNotFound(f"{path} is missing: give the folder that holds LFW's pairs.txt and images/")
    lines = [line.split() for line in path.read_text().splitlines()[1:] if line.strip()]
    per_fold = len(lines) // 10
    places: dict[str, int] = {}
    rows = []
    for number, words in enumerate(lines):
        fold, place = divmod(number, per_fold)
        same = len(words) == 3
        if limit is not None and place % (per_fold // 2) >= limit:
            continue
        first, second = (words[0], words[1]), (words[0], words[2]) if same else (words[2], words[3])
        names = [f"{name}_{int(index):04d}.jpg" for name, index in (first, second)]
        rows.append((*(places.setdefault(name, len(places)) for name in names), same, fold))
    columns = list(zip(*rows, strict=True))
    left, right, fold_of = (np.array(columns[i], np.int64) for i in (0, 1, 3))
    return _Pairs(tuple(places), left, right, np.array(columns[2], bool), fold_of)


def _verified(features: FloatArray, pairs: _Pairs) -> Verification:
    similarity = (features[pairs.left] * features[pairs.right]).sum(axis=1)
    return verify(similarity, pairs.same, pairs.fold)


def crop_subject(picture: Image, finder: FaceFinder) -> tuple[Image, bool]:
    """(aligned crop of the face nearest to the picture's middle, whether one was found)."""
    subject = finder.subject(picture)
    if subject is not None:
        return subject.image, True
    landmarks = MEAN_FACE.astype(np.float32)
    box = np.array([*landmarks.min(axis=0), *landmarks.max(axis=0)], np.float32)
    return finder.crop(picture, Detection(box, landmarks, 0.0)).image, False


def _measure(data: Path, names: tuple[str, ...], codec: FaceCodec, finder: FaceFinder) -> _Chunk:
    crops, missed = [], 0
    for name in names:
        crop, found = crop_subject(read_photo(data / "images" / name), finder)
        crops.append(crop)
        missed += not found
    stack = np.stack(crops)
    raw = codec.raw_features(stack)
    # As `codec.encode` does it, with the feature that is known already: it costs most of the time.
    pictures = torch.from_numpy(stack).permute(0, 3, 1, 2).to(codec.device).float() / 255
    bases = codec.base.encode(pictures, torch.from_numpy(raw).to(codec.device))
    kept = [n for n, name in enumerate(names) if hashlib.sha256(name.encode()).digest()[0] < 16]
    return _Chunk(
        raw,
        codec.features(bases),
        bases,
        psnr(stack, codec.reconstruct(bases)),
        stack[kept],
        missed,
    )


def _rates(codec: FaceCodec, crops: Image) -> tuple[tuple[RatePoint, ...], float]:
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
    return tuple(points), excess


def _parts(crops: Image) -> Iterator[Image]:
    for start in range(0, len(crops), CHUNK):
        yield crops[start : start + CHUNK]


def base_excess(codec: FaceCodec, bases: list[bytes]) -> float:
    """The largest lead of a base payload over its ideal code length, bytes."""
    tables = codec.base.tables
    rows = np.arange(len(tables), dtype=np.int32)
    symbols = codec.base.symbols(bases)
    return max(len(data) - ideal_bits(row, rows, tables) / 8 for data, row in zip(bases, symbols, strict=True))


def enhancement_excess(codec: FaceCodec, payload: bytes, base: bytes) -> float:
    """The lead of an enhancement's range-coded stream over its ideal code length, bytes."""
    layer = codec.enhancement
    found = layer.symbols(payload, base)
    ideal = ideal_bits(found.hyper, layer.tables.hyper_indexes, layer.tables.hyper)
    ideal += ideal_bits(found.latent, layer.indexes(found.hyper[None], [base])[0], layer.tables.latent)
    return len(payload) - HEADER_BYTES - ideal / 8
