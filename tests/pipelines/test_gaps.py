"""Gaps as `search` and `info` tell them: in lines for people, in documents for programs."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from PIL import Image as Picture
from typer.testing import CliRunner

from pipelines.gaps import MOST_LINES, blind_clause, duration, gap_lines, gap_sentence
from storage import Archive
from streamproc.query import Blindness
from streamproc.types import (
    CodedFace,
    CodedTrack,
    Detection,
    FaceCode,
    FaceCrop,
    FloatArray,
    FrameTime,
    GapReason,
    GapRecord,
    Image,
)

START = datetime(2024, 5, 1, 14, 0, tzinfo=UTC)
LATER = START + timedelta(days=400)


def _minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def _gap(began: datetime, ended: datetime | None, reason: GapReason = GapReason.UNREACHABLE) -> GapRecord:
    return GapRecord(str(began), "X", began, ended, reason, "")


class OneFace:
    """Finds the same face in every picture."""

    def find(self, image: Image) -> list[FaceCrop]:
        detection = Detection(np.zeros(4, np.float32), np.zeros((5, 2), np.float32), 1.0)
        return [FaceCrop(None, None, detection, 1.0, np.zeros((256, 256, 3), np.uint8))]


class Certain:
    """Every similarity above a half is a match."""

    def among(self, similarities: FloatArray, asked: float) -> Self:
        """Strangers are the same everywhere."""
        return self

    def expected(self, asked: float, track: FloatArray, shots: FloatArray) -> FloatArray:
        return track

    def threshold(self, people: int, false_alarms: float) -> float:
        return 0.5

    def probability(self, similarity: FloatArray, expected: FloatArray, people: int) -> FloatArray:
        return np.where(similarity > 0.5, np.float32(0.99), np.float32(0.01))


SIZE = 64


@dataclass
class Plain:
    """A base layer is its feature, as float32; every photo has the feature (1, 0, 0, ...)."""

    codec_id: str = "plain"
    calibration: Certain = field(default_factory=Certain)

    def raw_features(self, crops: Image) -> FloatArray:
        return np.eye(1, SIZE, dtype=np.float32).repeat(len(crops), axis=0)

    def features(self, base: Sequence[bytes]) -> FloatArray:
        return np.frombuffer(b"".join(base), np.float32).reshape(len(base), SIZE)

    def drawn_features(self, count: int) -> FloatArray:
        return np.asarray(np.eye(SIZE, dtype=np.float32)[np.arange(count) % SIZE], np.float32)


def _code(x: float, y: float) -> FaceCode:
    return FaceCode("plain", np.array([x, y] + [0] * (SIZE - 2), np.float32).tobytes())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive in which X saw somebody at 14:00 and was blind from 14:02 to 14:09; a photo lies beside it."""
    from pipelines.asking import Asker

    monkeypatch.setattr(Asker, "load", lambda settings: Asker(OneFace(), Plain()))  # type: ignore[arg-type]
    Picture.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    with Archive.open(str(tmp_path / "site.db"), create=True) as archive:
        archive.register_codec("plain", "default")
        source_id = archive.begin_source("X", "x.mp4", "hash", START, "plain").id
        code = _code(0, 1)
        time = FrameTime(0, 0, Fraction(1, 25), START)
        face = CodedFace(time, (0, 0, 1, 1), ((0.0, 0.0),) * 5, 1.0, 1.0, code, zlib.crc32(code.base))
        archive.add_track(source_id, CodedTrack(0, START, START, 1, (face,)))
        for began, ended in ((2, 5), (5, 9)):
            detail = "The camera X does not answer: see to its cable."
            gap = archive.ledger.begin_gap("X", START + _minutes(began), GapReason.UNREACHABLE, detail)
            archive.ledger.end_gap(gap.id, START + _minutes(ended))
    return tmp_path


def _say(site: Path, command: str, *arguments: str) -> str:
    from pipelines.cli.app import app

    photo = [str(site / "photo.png")] if command == "search" else []
    asked = [command, *photo, "--archive", str(site / "site.db"), *arguments]
    result = CliRunner().invoke(app, asked, env={"STREAMPROC_ARCHIVE": None, "COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def _document(site: Path, command: str, *arguments: str) -> Any:
    return json.loads(_say(site, command, *arguments, "--json"))


WHOLE = {
    "camera": "X",
    "from": "2024-05-01T14:02:00Z",
    "to": "2024-05-01T14:09:00Z",
    "reason": "unreachable",
    "detail": "The camera X does not answer: see to its cable.",
}
LINE = "camera X has no video from 2024-05-01 14:02 to 14:09 UTC (unreachable)"


def test_no_match_says_how_long_nobody_could_have_been_seen(site: Path) -> None:
    said = _say(site, "search").splitlines()
    assert said[0] == (
        "No match: nobody in the 1 track searched is likely to be this person, "
        "but camera X was blind for 7 minutes of the time asked."
    )
    assert said[-1] == LINE
    since = _say(site, "search", "--since", "2024-05-01T14:06Z", "--until", "2024-05-01T14:08Z").splitlines()
    assert "camera X was blind for 2 minutes of the time asked" in since[0]
    assert since[-1].startswith("camera X has no video from 2024-05-01 14:05 to 14:09")
    assert "blind" not in _say(site, "search", "--since", "2024-05-01T14:09Z")


def test_search_as_json(site: Path) -> None:
    document = _document(site, "search")
    assert (document["verdict"], document["searched"], document["gaps"]) == ("no match", 1, [WHOLE])
    assert _document(site, "search", "--until", "2024-05-01T14:02Z")["gaps"] == []


def test_cameras_asked_about(site: Path) -> None:
    with Archive.open(str(site / "site.db")) as archive:
        archive.ledger.begin_gap("[yard]", START, GapReason.CLOCK_JUMP, "")
    assert [gap["camera"] for gap in _document(site, "search", "--camera", "X")["gaps"]] == ["X"]
    assert [gap["camera"] for gap in _document(site, "search")["gaps"]] == ["[yard]", "X"]
    assert "camera [yard] has had no video since 2024-05-01 14:00 UTC (clock jump)" in _say(site, "search")


def test_a_match_has_its_gaps_too(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plain, "raw_features", lambda self, crops: np.eye(2, SIZE, dtype=np.float32)[1:])
    said = _say(site, "search")
    assert said.startswith("Match: seen by X")
    assert "blind" not in said
    assert said.splitlines()[-1] == LINE


def test_info(site: Path) -> None:
    with Archive.open(str(site / "site.db")) as archive:
        archive.ledger.begin_gap("attic", START, GapReason.FROZEN, "The picture stands still.")
    said = _say(site, "info")
    assert LINE in said.splitlines()
    assert "camera attic has had no video since 2024-05-01 14:00 UTC (frozen)" in said.splitlines()
    document = _document(site, "info")
    assert [camera["name"] for camera in document["cameras"]] == ["X", "attic"]
    assert [gap["to"] for gap in document["gaps"]] == [None, WHOLE["to"]]
    assert document["gaps"][1] == WHOLE
    assert {"faces", "tracks", "identities", "cameras", "bytes", "gaps"} == set(document)


def test_a_service_that_is_gone_is_told_of(site: Path) -> None:
    with Archive.open(str(site / "site.db")) as archive:
        archive.ledger.watched("X", START + _minutes(30))
    assert "camera X has had no video since 2024-05-01 14:30 UTC (stopped)" in _say(site, "search")
    assert _document(site, "info")["gaps"][-1]["reason"] == "stopped"


@pytest.mark.parametrize(
    ("began", "ended", "now", "times"),
    [
        (0, 7, 30, "no video from 14:00 to 14:07 UTC"),
        (0, 7.5, 30, "no video from 14:00:00 to 14:07:30 UTC"),
        (0, 0.001, 30, "no video from 14:00:00 to 14:00:01 UTC"),
        (0, None, 30, "had no video since 14:00 UTC"),
        (0.5, None, 30, "had no video since 14:00:30 UTC"),
        (0, None, 1440, "had no video since 2024-05-01 14:00 UTC"),
        (0, 7, 1440, "no video from 2024-05-01 14:00 to 14:07 UTC"),
        (0, 720, 720, "no video from 2024-05-01 14:00 to 2024-05-02 02:00 UTC"),
        (600, 720, 720, "no video from 00:00 to 02:00 UTC"),
    ],
)
def test_times_of_a_gap(began: float, ended: float | None, now: float, times: str) -> None:
    gap = _gap(START + _minutes(began), None if ended is None else START + _minutes(ended))
    assert times in gap_sentence(gap, START + _minutes(now))


def test_of_many_gaps_the_longest_are_told_one_by_one() -> None:
    gaps = [_gap(START + _minutes(100 * k), START + _minutes(100 * k + 1 + k)) for k in range(47)]
    lines = gap_lines(gaps, None, None, LATER)
    assert len(lines) == MOST_LINES + 1
    assert lines[:-1] == [gap_sentence(gap, LATER) for gap in gaps[37:]]
    total = sum(1 + k for k in range(37))
    assert lines[-1] == f"and 37 more, {total // 60} h {total % 60} min in all"
    begin = gap_lines(gaps, None, START + _minutes(1000), LATER)
    assert begin[0] == gap_sentence(gaps[0], LATER), "what counts is the part within the time asked about"
    assert gap_lines([], None, None, LATER) == []
    assert gap_lines([_gap(START, START)], None, None, LATER) == []


def test_several_blind_cameras() -> None:
    blind = [Blindness(f"c{k}", timedelta(hours=9 - k)) for k in range(5)]
    assert blind_clause(blind[:2]) == (
        "but camera c0 was blind for 9 h 0 min and camera c1 was blind for 8 h 0 min of the time asked"
    )
    assert blind_clause(blind[:4]).endswith(
        "camera c2 was blind for 7 h 0 min and 1 other camera for less of the time asked"
    )
    assert "and 2 other cameras for less" in blind_clause(blind)
    assert blind_clause([]) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 seconds"),
        (1, "1 second"),
        (59.4, "59 seconds"),
        (59.6, "1 minute"),
        (410, "7 minutes"),
        (3599, "1 h 0 min"),
        (12000, "3 h 20 min"),
        (86399, "1 d 0 h"),
        (100 * 3600, "4 d 4 h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(timedelta(seconds=seconds)) == said
