"""The rows of `evaluate bias`."""

from dataclasses import dataclass
from pathlib import Path

RAW, SEARCHED = "before coding", "as searched"
"""Both of a pair before coding; one before coding and the other decoded, as a photo is searched for."""


@dataclass(frozen=True, slots=True)
class StrangersRow:
    """Pairs of strangers within one group, by one feature (`RAW` or `SEARCHED`): mean similarity, the similarity that
    one pair in 100 reaches, and shares of pairs taken for one person: at the verdict "match" where one face is
    compared and where 1,000 are, and at the common thresholds, which take 1 pair in 100 and 1 in 1,000 over all groups
    together. These have their standard errors, by leaving out each chip in turn.

    `alarms`: the share of chips that are taken for another one in an archive of all others of the group, as search
    answers, which tells from the archive how alike strangers are there; `mixed_alarms`: were they taken for as alike as
    in a mixed crowd."""

    group: str
    feature: str
    pairs: int
    mean: float
    p99: float
    match_of_1: float
    match_of_1000: float
    mixed_alarms: float
    alarms: float
    common_100: float
    common_100_error: float
    common_1000: float
    common_1000_error: float


@dataclass(frozen=True, slots=True)
class PicturesRow:
    """One group's pictures, means over its chips: bytes of the base layer and of both layers at the default rate point,
    PSNR (dB) of each over the part of the crop that the chip fills; shares of chips in which the face is found, at
    their own size and shrunk until the face is 50 pixels high."""

    group: str
    chips: int
    base_bytes: float
    base_psnr: float
    both_bytes: float
    both_psnr: float
    found: float
    found_small: float


@dataclass(frozen=True, slots=True)
class BiasResult:
    """All rows, a group each (strangers: before coding, then as searched); the similarities from which on a pair is
    taken for one person: at the verdict "match" of 1 face compared and of 1,000, and at each feature's common
    thresholds; the page, the tables as CSV, and the model card's table as Markdown."""

    chips: int
    match_of_1_from: float
    match_of_1000_from: float
    raw_common_100_from: float
    raw_common_1000_from: float
    searched_common_100_from: float
    searched_common_1000_from: float
    strangers: tuple[StrangersRow, ...]
    pictures: tuple[PicturesRow, ...]
    codec_id: str
    page: Path
    strangers_table: Path
    pictures_table: Path
    model_card_table: Path
