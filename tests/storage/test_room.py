"""What an archive's file takes on the disk, and gives back."""

from datetime import timedelta
from pathlib import Path

from made_tracks import START, begin, made_track

from storage import Archive, Rules, Terms

LATER = START + timedelta(days=30)
ALL = Rules(Terms(faces=timedelta()))
"""What is over goes."""


def fill(archive: Archive, camera: str = "door") -> None:
    source = begin(archive, camera)
    for ordinal in range(400):
        archive.add_track(source, made_track(ordinal, camera))


def test_the_room_is_used_again(tmp_path: Path) -> None:
    with Archive.open(str(tmp_path / "a.db"), create=True) as archive:
        fill(archive)
        full = archive.info().bytes.file
        list(archive.clear(ALL, LATER))
        fill(archive, "yard")
        assert archive.info().bytes.file < 1.1 * full


def test_the_file_gives_back_its_room_in_steps(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    archive = Archive.open(str(path), create=True)
    fill(archive)
    archive.close()
    full = path.stat().st_size
    list(archive.clear(ALL, LATER))
    freed = [archive.shrink(100_000)]
    assert 0 < freed[0] <= 100_000
    while freed[-1]:
        freed.append(archive.shrink(100_000))
    archive.close()
    assert path.stat().st_size == full - sum(freed)
    assert sum(freed) > full / 2
