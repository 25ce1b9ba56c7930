"""Bars in lanes, gaps behind them."""

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.timeline import NARROWEST, WIDTH, timelines
from storage import TrackRecord
from streamproc.types import GapReason, GapRecord

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def _track(name: str, camera: str, begin: float, end: float) -> TrackRecord:
    times = (START + timedelta(seconds=begin), START + timedelta(seconds=end))
    return TrackRecord(name, camera, "a.mp4", "s", *times, 3, None, (f"{name}-0",))


def _gap(camera: str, begin: float, end: float | None) -> GapRecord:
    last = None if end is None else START + timedelta(seconds=end)
    return GapRecord(f"{camera}-{begin}", camera, START + timedelta(seconds=begin), last, GapReason.SILENT, "")


def test_lanes() -> None:
    """Tracks at one time lie in lanes of their own, and a lane is used again once it is free."""
    tracks = [
        _track("a", "yard", 0, 6),
        _track("b", "yard", 2, 4),
        _track("c", "yard", 5, 10),
        _track("d", "door", 0, 0),
    ]
    door, yard = timelines(tracks, [], START)
    assert (door.camera, door.lanes, len(door.bars)) == ("door", 1, 1)
    assert door.bars[0].width == NARROWEST
    assert yard.lanes == 2
    assert {bar.track.id: bar.lane for bar in yard.bars} == {"a": 0, "b": 1, "c": 1}
    a, b, c = yard.bars
    assert (a.x, a.width) == (0, WIDTH * 0.6)
    assert (b.x, b.width) == (WIDTH * 0.2, WIDTH * 0.2)
    assert c.x + c.width == WIDTH
    assert door.begin == yard.begin
    assert timelines([], [], START) == []


def test_days_apart() -> None:
    """Cameras that saw nobody within the same day have axes of their own."""
    early, late = timelines([_track("a", "door", 0, 5), _track("b", "yard", 200_000, 200_005)], [], START)
    assert early.bars[0].width == late.bars[0].width == WIDTH


def test_bars_stay_inside() -> None:
    """A last, very short track is still seen, and not past the edge."""
    (line,) = timelines([_track("a", "yard", 0, 1000), _track("b", "yard", 1000, 1000)], [], START)
    assert line.bars[1].x + line.bars[1].width <= WIDTH


def test_gaps_are_shaded_where_they_are() -> None:
    tracks = [_track("a", "yard", 0, 1000), _track("b", "yard", 1000, 7200)]
    gaps = [_gap("yard", 1800, 3600), _gap("door", 3600, 3600), _gap("door", 5400, None)]
    door, yard = timelines(tracks, gaps, START + timedelta(seconds=7200))
    assert [(shade.x, shade.width) for shade in yard.shades] == [(WIDTH / 4, WIDTH / 4)]
    assert [(shade.x, shade.width) for shade in door.shades] == [(WIDTH / 2, NARROWEST), (WIDTH * 0.75, WIDTH / 4)]
    assert (door.bars, door.lanes) == ((), 1), "a camera that saw nobody has a line of its own"
    assert [shade.gap for shade in door.shades] == gaps[1:]


def test_gaps_beside_the_tracks_leave_them_room() -> None:
    """A camera that died is seen to have died, but a year of it does not press its tracks into one point."""
    year = 365 * 86400.0
    (line,) = timelines([_track("a", "yard", 0, 7200)], [_gap("yard", 7200, None)], START + timedelta(seconds=year))
    assert line.end == START + timedelta(seconds=2 * 7200)
    assert [(bar.x, bar.width) for bar in line.bars] == [(0, WIDTH / 2)]
    assert [(shade.x, shade.width) for shade in line.shades] == [(WIDTH / 2, WIDTH / 2)]
    (line,) = timelines([_track("a", "yard", 0, 60)], [_gap("yard", -year, -600)], START)
    assert line.begin == START - timedelta(hours=1)
    (shade,) = line.shades
    assert (shade.x, round(shade.width)) == (0, round(WIDTH * 3000 / 3660))
    (line,) = timelines([_track("a", "yard", 0, 60)], [_gap("yard", -year, -7200)], START)
    assert line.shades == (), "what lies outside the axis is not drawn"


def test_cameras_with_gaps_alone() -> None:
    """Nothing was seen: the gaps make the axis."""
    door, yard = timelines([], [_gap("yard", 60, 120), _gap("door", 0, 30)], START)
    assert (door.begin, door.end) == (yard.begin, yard.end) == (START, START + timedelta(seconds=120))
    assert (yard.shades[0].x, yard.shades[0].width) == pytest.approx((WIDTH / 2, WIDTH / 2))
    (line,) = timelines([], [_gap("yard", 60, None)], START)
    assert (line.shades[0].x, line.shades[0].width) == (0, NARROWEST), "a clock ran ahead"
