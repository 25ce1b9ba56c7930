"""`evaluate bias` on chips made from the sample's six faces: where crops come from, what is counted, what is kept."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Picture

from pipelines.samples import sample
from streamproc.codec.face_codec import FaceCodec
from streamproc.errors import ConfigError, NotVideo, SourceNotFound
from streamproc.evaluation import bias
from streamproc.evaluation.bias_rows import RAW, SEARCHED, BiasResult
from streamproc.evaluation.utkface import (
    LANDMARKS,
    OWN,
    SIDE,
    feature_crops,
    picture_crops,
    read_groups,
    set_key,
    shrunk,
    surrounded,
)
from streamproc.faces.align import TEMPLATE, alignment
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo
from streamproc.types import Image

ONE, SEVERAL = "Black female", "White male"
"""Groups of chips that all show one person, and of chips that show a person each."""


@dataclass(frozen=True, slots=True)
class LittleSet:
    data: Path
    codec: FaceCodec
    finder: FaceFinder


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> LittleSet:
    data = tmp_path_factory.mktemp("utkface")
    finder = FaceFinder.load("cpu")
    picture = read_photo(sample("t1.jpg"))
    chips = [
        chip(picture, alignment(face.detection.landmarks, LANDMARKS.astype(np.float64)))
        for face in finder.find(picture)
    ]
    for n, face in enumerate(chips):
        Picture.fromarray(face).save(data / f"30_0_0_{n:017d}.jpg", quality=95)
    for n, light in enumerate((1.0, 0.9, 0.8, 0.7)):
        Picture.fromarray((chips[0] * light).astype(np.uint8)).save(data / f"41_1_1_{n:017d}.jpg", quality=95)
    (data / "notes.jpg").write_text("no chip by its name")
    return LittleSet(data, FaceCodec.load(device="cpu"), finder)


def chip(picture: Image, matrix: np.ndarray) -> Image:  # type: ignore[type-arg]
    return cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC).astype(np.uint8)


def silent(name: str, done: int, total: int) -> None:
    assert 0 <= done <= total, name


def measured(little: LittleSet, work: Path, limit: int | None = None) -> BiasResult:
    groups = read_groups(little.data, limit)
    return bias.evaluate(groups, little.codec, little.finder, 0.05, work, work / "out", silent)


def test_groups_are_read_from_names(little: LittleSet) -> None:
    groups = read_groups(little.data)
    assert [(group.name, len(group.paths)) for group in groups] == [(SEVERAL, 6), (ONE, 4)]
    few = read_groups(little.data, 3)
    assert [group.paths for group in few] == [group.paths[:3] for group in groups]
    assert set_key(few) != set_key(groups)


def test_what_cannot_be_measured_is_named(little: LittleSet, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="age_sex_group_date"):
        read_groups(tmp_path)
    with pytest.raises(ConfigError, match="White male"):
        read_groups(little.data, 2)
    for n in range(3):
        Picture.new("RGB", (64, 64)).save(tmp_path / f"30_0_0_{n}.jpg")
    with pytest.raises(NotVideo, match="64 x 64"):
        read_groups(tmp_path)[0].chips()


def test_a_chip_lies_in_its_crop_where_the_template_has_it(little: LittleSet) -> None:
    chips = read_groups(little.data)[0].chips()
    wide, repeated = feature_crops(chips), picture_crops(chips)
    rows, columns = OWN
    inner = np.abs(wide[:, rows, columns].astype(int) - repeated[:, rows, columns])
    assert inner.mean() < 0.5, "both crops show the chip at the same place"
    (found,) = little.finder.detect([np.pad(repeated[0], ((90, 90), (90, 90), (0, 0)), "edge")])[0][:1]
    assert np.abs(found.landmarks - 90 - TEMPLATE).mean() < 12
    assert np.ptp(wide[:, :40], axis=(1, 2)).max() == 0, "one colour around it"
    small, scale = shrunk(surrounded(chips), 50)
    assert small.shape == (6, 88, 88, 3)
    assert scale == 88 / 400


def test_strangers_and_pictures_are_counted(little: LittleSet, tmp_path: Path) -> None:
    result = measured(little, tmp_path)
    rows = {(row.group, row.feature): row for row in result.strangers}
    assert rows[SEVERAL, RAW].pairs == 15
    for feature in (RAW, SEARCHED):
        assert rows[ONE, feature].match_of_1 == 1
        assert rows[SEVERAL, feature].match_of_1000 < 0.1
        assert rows[ONE, feature].mean > 0.8 > 0.4 > rows[SEVERAL, feature].mean
    assert result.match_of_1_from < result.match_of_1000_from
    assert result.match_of_1000_from == little.codec.calibration.threshold(1000, 0.05)
    for row in result.pictures:
        assert row.found == row.found_small == 1
        assert 0 < row.base_bytes <= 48 < row.both_bytes
        assert 14 < row.base_psnr < row.both_psnr - 5
    assert result.page.read_text().count("data:image/png;base64,") == 2
    lead, _, *table = result.model_card_table.read_text().splitlines()
    assert little.codec.codec_id in lead
    assert len(table) == 4
    with result.strangers_table.open() as file:
        assert len(list(csv.DictReader(file))) == 4


def test_finished_groups_are_kept(little: LittleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = measured(little, tmp_path, 3)
    monkeypatch.setattr(bias, "_picture_row", _no_measure)
    monkeypatch.setattr("streamproc.evaluation.coded_set.code_bases", _no_measure)
    assert measured(little, tmp_path, 3) == first
    with pytest.raises(AssertionError, match="measured again"):
        measured(little, tmp_path, 4)
    kept = json.loads((tmp_path / "out" / "rows.json").read_text())
    assert kept["key"]["codec"] == little.codec.encoding_id


def test_the_standard_error_leaves_out_each_chip_in_turn() -> None:
    random = np.random.default_rng(1)
    above = np.triu(random.random((9, 9)) < 0.2, 1)
    above |= above.T
    shares = [
        np.mean([above[i, j] for i, j in combinations([k for k in range(9) if k != left_out], 2)])
        for left_out in range(9)
    ]
    expected = np.sqrt(8 / 9 * np.sum((shares - np.mean(shares)) ** 2))
    assert bias._jackknife(above.sum(axis=1)) == pytest.approx(expected)


def _no_measure(*arguments: object) -> Callable[[], None]:
    raise AssertionError("measured again")
