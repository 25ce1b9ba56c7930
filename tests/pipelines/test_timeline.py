"""Bars in lanes."""

from datetime import UTC, datetime, timedelta

from pipelines.timeline import NARROWEST, WIDTH, timelines
from storage import TrackRecord

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def _track(name: str, camera: str, begin: float, end: float) -> TrackRecord:
    times = (START + timedelta(seconds=begin), START + timedelta(seconds=end))
    return TrackRecord(name, camera, "a.mp4", "s", *times, 3, None, (f"{name}-0",))


def test_lanes() -> None:
    """Tracks at one time lie in lanes of their own, and a lane is used again once it is free."""
    tracks = [
        _track("a", "yard", 0, 6),
        _track("b", "yard", 2, 4),
        _track("c", "yard", 5, 10),
        _track("d", "door", 0, 0),
    ]
    door, yard = timelines(tracks)
    assert (door.camera, door.lanes, len(door.bars)) == ("door", 1, 1)
    assert door.bars[0].width == NARROWEST
    assert yard.lanes == 2
    assert {bar.track.id: bar.lane for bar in yard.bars} == {"a": 0, "b": 1, "c": 1}
    a, b, c = yard.bars
    assert (a.x, a.width) == (0, WIDTH * 0.6)
    assert (b.x, b.width) == (WIDTH * 0.2, WIDTH * 0.2)
    assert c.x + c.width == WIDTH
    assert door.begin == yard.begin
    assert timelines([]) == []


def test_days_apart() -> None:
    """Cameras that saw nobody within the same day have axes of their own."""
    early, late = timelines([_track("a", "door", 0, 5), _track("b", "yard", 200_000, 200_005)])
    assert early.bars[0].width == late.bars[0].width == WIDTH


def test_bars_stay_inside() -> None:
    """A last, very short track is still seen, and not past the edge."""
    (line,) = timelines([_track("a", "yard", 0, 1000), _track("b", "yard", 1000, 1000)])
    assert line.bars[1].x + line.bars[1].width <= WIDTH
