"""`evaluate bias`: what the codec does to the groups that UTKFace labels.

The set names no identities, so it cannot say how often one person is missed. It can say how alike strangers of one
group look to the feature, before coding and after, and what their pictures cost and keep.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamproc.codec.face_codec import DEFAULT_QUALITY, FaceCodec
from streamproc.evaluation.bias_page import write_bias_page, write_bias_table
from streamproc.evaluation.bias_rows import RAW, SEARCHED, BiasResult, PicturesRow, StrangersRow
from streamproc.evaluation.coded_set import coded_shards
from streamproc.evaluation.kept_rows import KeptRows, write_csv
from streamproc.evaluation.pictures import psnr
from streamproc.evaluation.utkface import (
    LANDMARKS,
    MARGIN,
    OWN,
    ChipGroup,
    feature_crops,
    picture_crops,
    set_key,
    shrunk,
    surrounded,
)
from streamproc.faces.finder import FaceFinder
from streamproc.training.loop import Progress
from streamproc.types import FloatArray, Image

COMMON = (1e-2, 1e-3)
"""Shares of strangers' pairs taken for one person, over all groups together, at the common thresholds."""
SHARP = 1.0
"""Quality of a chip, as a question has it: nobody rates chips, and they are not blurred."""
SMALL_FACE = 50.0
"""Height of a shrunk face, pixels: little above the smallest that ingest looks for."""
BATCH = 4
NEAR = 0.5 * float(np.linalg.norm(LANDMARKS[1] - LANDMARKS[0]))
"""How far a found face's middle may lie from the chip's, chip pixels: half the distance between the eyes."""


def evaluate(
    groups: Sequence[ChipGroup],
    codec: FaceCodec,
    finder: FaceFinder,
    false_alarms: float,
    work: Path,
    out: Path,
    progress: Progress,
) -> BiasResult:
    """The figures of the groups; `false_alarms` is the rate at which the verdict is "match".

    Features and base layers are kept in `work/utkface`, finished rows of pictures in `out`.
    """
    key = set_key(groups)
    pictures = _pictures(groups, codec, finder, KeptRows(out, {"codec": codec.encoding_id, "chips": key}), progress)
    coded = coded_shards(
        work / "utkface" / key, key, codec, lambda n: feature_crops(groups[n].chips()), len(groups), progress
    )
    single, thousand = (codec.calibration.threshold(searched, false_alarms) for searched in (1, 1000))
    rows: list[StrangersRow] = []
    common: dict[str, list[float]] = {}
    for name, features in ((RAW, coded.raw), (SEARCHED, codec.features(coded.bases))):
        parts = zip(_split(coded.raw, groups), _split(features, groups), strict=True)
        alike = [_mirrored(asked @ archived.T) for asked, archived in parts]
        common[name] = _thresholds([_pairs(one) for one in alike])
        rows += [
            _strangers(group.name, name, one, (single, thousand), common[name], _alarms(one, codec, false_alarms))
            for group, one in zip(groups, alike, strict=True)
        ]
    result = BiasResult(
        chips=sum(len(group.paths) for group in groups),
        match_of_1_from=single,
        match_of_1000_from=thousand,
        raw_common_100_from=common[RAW][0],
        raw_common_1000_from=common[RAW][1],
        searched_common_100_from=common[SEARCHED][0],
        searched_common_1000_from=common[SEARCHED][1],
        strangers=tuple(rows),
        pictures=pictures,
        codec_id=codec.codec_id,
        page=out / "index.html",
        strangers_table=write_csv(out / "strangers.csv", rows, StrangersRow),
        pictures_table=write_csv(out / "pictures.csv", pictures, PicturesRow),
        model_card_table=out / "model-card.md",
    )
    write_bias_page(result)
    write_bias_table(result)
    return result


def _strangers(
    group: str,
    feature: str,
    alike: FloatArray,
    match: tuple[float, float],
    common: Sequence[float],
    alarms: tuple[float, float],
) -> StrangersRow:
    """The row of one group whose chips are as similar as the matrix `alike` (N, N) says; `match` are the similarities
    of the verdict for 1 and for 1,000 faces compared, `common` the common thresholds, `alarms` what `_alarms` gives."""
    pairs = _pairs(alike)
    errors = [_jackknife(((alike > bar) & ~np.eye(len(alike), dtype=bool)).sum(axis=1)) for bar in common]
    return StrangersRow(
        group=group,
        feature=feature,
        pairs=len(pairs),
        mean=float(pairs.mean()),
        p99=float(np.quantile(pairs, 0.99)),
        match_of_1=float((pairs >= match[0]).mean()),
        match_of_1000=float((pairs >= match[1]).mean()),
        mixed_alarms=alarms[0],
        alarms=alarms[1],
        common_100=float((pairs > common[0]).mean()),
        common_100_error=errors[0],
        common_1000=float((pairs > common[1]).mean()),
        common_1000_error=errors[1],
    )


def _alarms(alike: FloatArray, codec: FaceCodec, false_alarms: float) -> tuple[float, float]:
    """(share of chips with a match among the group's others where strangers are taken for those of a mixed crowd, and
    where the others tell how alike they are), of a matrix (N, N) of similarities."""
    mixed, told = 0, 0
    for chip, row in enumerate(alike):
        others = np.delete(row, chip)
        mixed += int(others.max() >= codec.calibration.threshold(len(others), false_alarms))
        told += int(others.max() >= codec.calibration.among(others, SHARP).threshold(len(others), false_alarms))
    return mixed / len(alike), told / len(alike)


def _jackknife(above: npt.NDArray[np.int64]) -> float:
    """The standard error of a share of pairs; `above` (N,) counts the pairs in it that each chip is one of.

    Pairs that share a chip are not independent: each chip is left out in turn, with all its pairs.
    """
    count = len(above)
    without = (above.sum() / 2 - above) / ((count - 1) * (count - 2) / 2)
    return float(np.sqrt((count - 1) * without.var()))


def _thresholds(groups: Sequence[FloatArray]) -> list[float]:
    """The similarities that the shares `COMMON` of all groups' pairs exceed."""
    pairs = np.sort(np.concatenate(groups))[::-1]
    return [float(pairs[int(len(pairs) * share)]) for share in COMMON]


def _pairs(alike: FloatArray) -> FloatArray:
    """(P,) every pair once, of a matrix (N, N)."""
    pairs: FloatArray = alike[np.triu_indices(len(alike), 1)]
    return pairs


def _mirrored(alike: FloatArray) -> FloatArray:
    """A matrix (N, N) whose lower half is its upper one: a pair has one question and one answer."""
    upper = np.triu(alike, 1)
    both: FloatArray = upper + upper.T
    return both


def _split(features: FloatArray, groups: Sequence[ChipGroup]) -> list[FloatArray]:
    """Each group's rows of `features`, which hold them one group after another."""
    ends = np.cumsum([len(group.paths) for group in groups])
    return np.split(features, ends[:-1])


def _pictures(
    groups: Sequence[ChipGroup], codec: FaceCodec, finder: FaceFinder, kept: KeptRows, progress: Progress
) -> tuple[PicturesRow, ...]:
    rows = []
    for done, group in enumerate(groups, 1):
        rows.append(kept.row(group.name, PicturesRow, partial(_picture_row, group, codec, finder)))
        progress("pictures", done, len(groups))
    return tuple(rows)


def _picture_row(group: ChipGroup, codec: FaceCodec, finder: FaceFinder) -> PicturesRow:
    chips = group.chips()
    crops = picture_crops(chips)
    codes = codec.encode(crops, DEFAULT_QUALITY)
    bases, extra = [code.base for code in codes], [code.enhancement for code in codes]
    wide = surrounded(chips)
    return PicturesRow(
        group=group.name,
        chips=len(chips),
        base_bytes=float(np.mean([len(base) for base in bases])),
        base_psnr=_own_psnr(crops, codec.reconstruct(bases)),
        both_bytes=float(np.mean([len(code.base) + len(code.enhancement or b"") for code in codes])),
        both_psnr=_own_psnr(crops, codec.reconstruct(bases, extra)),
        found=_found(wide, 1.0, finder),
        found_small=_found(*shrunk(wide, SMALL_FACE), finder),
    )


def _own_psnr(crops: Image, decoded: Image) -> float:
    """Mean dB over the part of the crops that is a chip's."""
    rows, columns = OWN
    return float(psnr(crops[:, rows, columns], decoded[:, rows, columns]).mean())


def _found(pictures: Image, scale: float, finder: FaceFinder) -> float:
    """Share of the surrounded chips, shown at `scale`, in which a face is found where the chip has it."""
    middle = LANDMARKS.mean(axis=0) + MARGIN
    found = 0
    for start in range(0, len(pictures), BATCH):
        for faces in finder.detect(list(pictures[start : start + BATCH])):
            aside = [float(np.linalg.norm(face.landmarks.mean(axis=0) / scale - middle)) for face in faces]
            found += int(min(aside, default=np.inf) < NEAR)
    return found / len(pictures)
