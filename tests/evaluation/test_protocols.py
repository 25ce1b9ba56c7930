"""Whole protocols on a little LFW: pages, tables, rows that are kept."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from made_lfw import LittleLfw, made_lfw

from streamproc.codec.picture_files import Hevc, Jpeg
from streamproc.errors import MissingLibrary, SourceNotFound, WeightsError
from streamproc.evaluation import examples, lfw, lfw_set, libraries, rate_accuracy, rate_distortion
from streamproc.evaluation.distortion_rows import ALONE, BASE, OURS, DistortionRow
from streamproc.evaluation.feature_coders import ScalarCoder
from streamproc.evaluation.kept_rows import KeptRows
from streamproc.evaluation.lfw_set import LfwSet, read_pairs, sampled
from streamproc.evaluation.picture_methods import PictureMethod
from streamproc.evaluation.rate_accuracy import AccuracyRow, Competitor
from streamproc.evaluation.rate_distortion import Distortion
from streamproc.types import FloatArray


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> LittleLfw:
    return made_lfw(tmp_path_factory.mktemp("little"))


def silent(name: str, done: int, total: int) -> None:
    assert 0 <= done <= total, name


class CountedCoder(ScalarCoder):
    """Counts how often it was fitted."""

    fitted = 0

    def __init__(self) -> None:
        super().__init__(64, True)

    def fit(self, features: FloatArray, identities: npt.NDArray[np.int64]) -> None:
        CountedCoder.fitted += 1
        super().fit(features, identities)


def test_few_pairs_take_the_first_images(little: LittleLfw) -> None:
    few, all_ = read_pairs(little.data, 1), read_pairs(little.data)
    assert all_.names[: len(few.names)] == few.names
    assert len(few.same) == 20
    assert len(all_.same) == 40
    assert sampled(all_.names, 3) == sampled(all_.names, 5)[:3]


def test_only_what_is_asked_for_is_prepared(little: LittleLfw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lfw_set, "SHARD", 4)
    images = LfwSet(little.data, tmp_path, "cpu")
    images.prepare([5, 6], silent)
    assert [path.name for path in (tmp_path / "lfw").glob("*")] == ["shard-001.npz"]
    assert images.crops([6, 5, 6]).shape == (3, 256, 256, 3)
    made = (tmp_path / "lfw" / "shard-001.npz").stat().st_mtime_ns
    LfwSet(little.data, tmp_path, "cpu").prepare([5], silent)
    assert (tmp_path / "lfw" / "shard-001.npz").stat().st_mtime_ns == made
    monkeypatch.setattr(lfw_set, "geometry", lambda: "another finder")
    LfwSet(little.data, tmp_path, "cpu").prepare([5], silent)
    assert (tmp_path / "lfw" / "shard-001.npz").stat().st_mtime_ns != made


def test_lfw(little: LittleLfw) -> None:
    images = LfwSet(little.data, little.work, "cpu")
    result = lfw.evaluate(images, read_pairs(little.data), little.codec, little.work / "faces", silent)
    assert result.raw.accuracy > 0.9
    assert result.base_bytes_max <= 48
    assert len(result.rates) == len(little.codec.qualities)
    assert result.coder_excess_bytes < 1
    assert result.components_psnr is not None
    assert result.components_psnr > 15


def test_lfw_goes_without_training_faces(little: LittleLfw, tmp_path: Path) -> None:
    images = LfwSet(little.data, little.work, "cpu")
    assert lfw.evaluate(images, read_pairs(little.data), little.codec, tmp_path, silent).components_psnr is None


def accuracy(little: LittleLfw, out: Path, limit: int | None = None) -> rate_accuracy.RateAccuracyResult:
    return rate_accuracy.evaluate(
        LfwSet(little.data, little.work, "cpu"),
        read_pairs(little.data, limit),
        little.codec,
        little.work / "faces",
        out,
        silent,
        [Competitor("mine", "mine 64", CountedCoder)],
    )


def test_rate_accuracy_is_resumed(little: LittleLfw, tmp_path: Path) -> None:
    CountedCoder.fitted = 0
    first, second = accuracy(little, tmp_path), accuracy(little, tmp_path)
    assert CountedCoder.fitted == 1
    assert first.rows == second.rows
    accuracy(little, tmp_path, 1)
    assert CountedCoder.fitted == 2, "other pairs are another measurement"
    rows = {row.method: row for row in first.rows}
    assert rows["raw feature"].bits == 4096
    assert rows["our base layer"].bits <= 48 * 8
    assert rows["its identity part"].bits < rows["our base layer"].bits
    assert rows["PRO (quoted)"].quoted
    page = first.page.read_text()
    assert page.count("data:image/png;base64,") == 2
    assert '<img src="/' not in page
    with first.table.open() as file:
        assert len(list(csv.DictReader(file))) == len(first.rows)


def test_features_of_another_trunk_are_refused(little: LittleLfw, tmp_path: Path) -> None:
    with np.load(little.work / "faces" / "shard-000.npz") as arrays:
        columns = dict(arrays)
    np.savez(tmp_path / "shard-000.npz", **(columns | {"features": np.roll(columns["features"], 1, axis=1)}))
    other = replace(little, work=tmp_path)
    with pytest.raises(WeightsError, match="train faces"):
        rate_accuracy._training(other.work, little.codec)
    with pytest.raises(SourceNotFound, match="train faces"):
        rate_accuracy._training(tmp_path / "nowhere", little.codec)


def test_rate_distortion(little: LittleLfw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg, hevc = tuple(Jpeg(quality) for quality in (4, 10, 25, 60)), (Hevc(45),)
    monkeypatch.setattr(rate_distortion, "CONVENTIONAL", {"JPEG": jpeg, "HEVC intra": hevc})
    images, pairs = LfwSet(little.data, little.work, "cpu"), read_pairs(little.data)
    run = Distortion(images, pairs, little.codec, little.work, tmp_path, 2, silent)
    result = run.run()
    assert ALONE in result.missing
    deltas = {row.against: row for row in result.deltas}
    assert set(deltas) == {"ours against JPEG", "JPEG over our base against JPEG"}
    against = deltas["ours against JPEG"]
    assert against.psnr is not None
    assert against.psnr_without_headers is not None
    assert against.psnr < against.psnr_without_headers
    assert {(row.against, row.measure) for row in result.gains} == {
        (name, measure) for name in deltas for measure in ("psnr", "ms_ssim")
    }
    assert result.page.read_text().count("data:image/png;base64,") == 6
    judged = {row.pictures: row for row in result.judge}
    assert judged["originals"].cosine == pytest.approx(1, abs=1e-5)
    assert judged[f"{OURS}, rate point 4"].cosine > judged[f"{OURS}, rate point 0"].cosine > 0.6
    assert judged["originals"].accuracy > 0.9
    monkeypatch.setattr(Distortion, "_row", _no_measure)
    again = run.run()
    assert again.rows == result.rows
    assert again.judge == result.judge
    measured = []

    def note(run: Distortion, name: str, setting: str, method: PictureMethod) -> DistortionRow:
        measured.append(name)
        return result.rows[0]

    monkeypatch.setattr(Distortion, "_row", note)
    run._distortion(KeptRows(tmp_path / "another codec", {}), KeptRows(tmp_path, {"images": images.key, "pictures": 2}))
    assert set(measured) == {BASE, OURS, "JPEG over our base", "HEVC intra over our base"}


def test_examples(little: LittleLfw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "ACROSS", 3)
    images = LfwSet(little.data, little.work, "cpu")
    result = examples.evaluate(images, little.codec, tmp_path, 2, silent)
    assert all(path.stat().st_size > 10_000 for path in (result.base, result.progression, result.compared))
    assert result.page.read_text().count("data:image/png;base64,") == 3


def test_damaged_rows_are_measured_again(tmp_path: Path) -> None:
    def measure() -> AccuracyRow:
        return AccuracyRow("x", 1, None, 0.5, 0.1, 0.2)

    (tmp_path / "rows.json").write_text("{cut")
    assert KeptRows(tmp_path, {}).row("x", AccuracyRow, measure) == measure()
    assert KeptRows(tmp_path, {}).row("x", AccuracyRow, _never) == measure()


def _no_measure(*arguments: object) -> None:
    raise AssertionError("measured again")


def _never() -> AccuracyRow:
    raise AssertionError


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, package: Sequence[str] = ()) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(MissingLibrary, match=r"pip install 'streamproc\[evaluation\]'"):
        libraries.library("faiss")
