"""Clips that are written are the clips that are read."""

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamproc.media.source import VideoSource
from streamproc.media.writing import ClipWriter
from streamproc.types import Image

CREATED = datetime(2026, 3, 1, 8, tzinfo=UTC)


def noisy(count: int = 20) -> list[Image]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(count)]


def written(path: Path, pictures: list[Image], crf: int = 26, bitrate: int | None = None) -> Path:
    with ClipWriter(path, 96, 64, 15, crf, bitrate, CREATED) as clip:
        for picture in pictures:
            clip.write(picture)
    return path


def test_round_trip(tmp_path: Path) -> None:
    pictures = [np.full((64, 96, 3), (40 + 5 * n, 90, 140), np.uint8) for n in range(20)]
    with VideoSource(str(written(tmp_path / "a.mp4", pictures)), "a") as source:
        frames = list(source)
    assert (source.started_at, source.info.rate, len(frames)) == (CREATED, Fraction(15), 20)
    for n, frame in enumerate(frames):
        assert frame.time.seconds == Fraction(n, 15)
        assert np.abs(frame.image.astype(int) - pictures[n]).mean() < 4


def test_the_same_bytes_again(tmp_path: Path) -> None:
    one, other = (written(tmp_path / name, noisy()).read_bytes() for name in ("a.mp4", "b.mp4"))
    assert one == other


def test_compression_is_as_asked(tmp_path: Path) -> None:
    sizes = [written(tmp_path / f"{crf}.mkv", noisy(), crf).stat().st_size for crf in (20, 30, 45)]
    assert sizes[0] > 1.5 * sizes[1] > 3 * sizes[2]
    slow = written(tmp_path / "slow.mkv", noisy(60), bitrate=40_000).stat().st_size
    assert slow < written(tmp_path / "fast.mkv", noisy(60), bitrate=400_000).stat().st_size


def test_pictures_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even sides"):
        ClipWriter(tmp_path / "odd.mp4", 95, 64, 15)
    with pytest.raises(ValueError, match="this one is"), ClipWriter(tmp_path / "a.mp4", 96, 64, 15) as clip:
        clip.write(np.zeros((32, 96, 3), np.uint8))
