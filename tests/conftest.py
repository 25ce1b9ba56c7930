"""What tests of several rooms share: live cameras, clips for them, and archives.

One contract for both databases: who asks for `fresh`, `url` or `archive` is run on SQLite and on a real Postgres.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipelines.bench.cameras import CameraServer, looped
from storage import Archive
from streamproc.errors import MissingLibrary, PipelineError
from streamproc.media.writing import ClipWriter

if TYPE_CHECKING:
    from real_postgres import Server

Serve = Callable[..., CameraServer]
RATE = 15


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a `CameraServer`, which ends with the test; skips the test where GStreamer cannot serve."""
    started: list[CameraServer] = []

    def start(pictures: Mapping[str, str], login: str | None = None) -> CameraServer:
        try:
            started.append(CameraServer(pictures, login))
        except (MissingLibrary, PipelineError) as error:
            pytest.skip(str(error))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def moving_clip(tmp_path: Path) -> Callable[[int, int], str]:
    """Makes four seconds of a moving pattern of that width and height, as a `CameraServer` shows it: the number of each
    frame stands in the upper left corner, a bit every 16 pixels, the lowest first."""

    def make(width: int, height: int) -> str:
        path = tmp_path / f"{width}x{height}.mp4"
        pattern = np.random.default_rng(0).integers(40, 200, (height // 16, width // 16, 3), np.uint8)
        still = pattern.repeat(16, 0).repeat(16, 1)
        with ClipWriter(path, width, height, RATE) as clip:
            for number in range(4 * RATE):
                picture = np.roll(still, 4 * number, 1)
                for bit in range(6):
                    picture[:16, 16 * bit : 16 * bit + 16] = 255 * (number >> bit & 1)
                clip.write(picture)
        return looped(path, RATE)

    return make


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Server]":
    """A server of Postgres; skips the test where the package that brings one is not installed."""
    from real_postgres import running

    with running() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def fresh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], AbstractContextManager[str]]:
    """Gives the URLs of places where an empty archive is, or can be made."""
    if request.param == "postgres":
        server: Server = request.getfixturevalue("postgres")
        return server.archive
    folder, numbers = tmp_path_factory.mktemp("archives"), itertools.count()

    @contextmanager
    def place() -> Iterator[str]:
        yield str(folder / f"{next(numbers)}.db")

    return place


@pytest.fixture
def url(fresh: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """The URL of such a place."""
    with fresh() as place:
        yield place


@pytest.fixture
def archive(url: str) -> Iterator[Archive]:
    """A new archive."""
    with Archive.open(url, create=True) as opened:
        yield opened
