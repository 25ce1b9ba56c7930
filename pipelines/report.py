"""The page that shows what was archived: originals beside what comes out of the archive, and what that costs.

It reads the archive as anybody could: the pictures are decoded from the stored bytes, the sizes are those of the
stored bytes. Only the original crops come from elsewhere: the coding stage left them in the report's folder. Importing
it loads torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import jinja2
import numpy as np
from PIL import Image as Picture

from pipelines.asking import Answer
from pipelines.batch import crops_folder
from pipelines.encode import crop_name
from pipelines.gaps import gap_lines, gap_sentence
from pipelines.identities.desk import called, said_of, whose
from pipelines.pictures import coded_bytes
from pipelines.timeline import timelines
from storage import Archive, TrackRecord
from streamproc.codec.face_codec import FaceCodec
from streamproc.config import Settings
from streamproc.query import Reconstructor, merged
from streamproc.types import FaceRecord, Image, Layer

MOST_TRACKS = 500
"""Tracks shown; a page with more is no overview."""
JPEG_QUALITIES = (90, 75, 50, 20)
FEATURE_BYTES = 128 * 4
"""A FaceNet feature in float32, which a JPEG archive needs beside each picture to be searchable."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """A track on the page: its best face, in files beside it."""

    track: TrackRecord
    face: FaceRecord
    crop: str | None
    base: str
    full: str | None
    base_bytes: int
    full_bytes: int
    psnr_base: float | None
    psnr_full: float | None


@dataclass(frozen=True, slots=True)
class _Size:
    """A row of the size table, means over the faces measured; `psnr` in dB."""

    what: str
    bytes: float
    ratio: float
    psnr: float | None


def write_report(
    folder: Path, archive_url: str, settings: Settings, cameras: Sequence[str] = (), answers: Sequence[Answer] = ()
) -> Path:
    """The page's path: `folder`/index.html, on the tracks of the cameras (none named: all), its pictures beside it.

    Raises ArchiveNotFound, WrongCodec, CorruptCode.
    """
    codec = FaceCodec.load(settings.encode.profile, settings.encode.device)
    made = datetime.now(UTC)
    with Archive.open(archive_url) as archive:
        tracks = archive.tracks(cameras)
        shown = _Album(folder, archive, codec).show([track for track in tracks if track.face_ids][:MOST_TRACKS])
        held = archive.info()
        gaps = merged(archive.gaps(cameras, now=made))
        said = said_of(archive)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["utc"] = _utc
    environment.filters["sentence"] = lambda gap: gap_sentence(gap, made)
    page = environment.get_template("report.html").render(
        made=made,
        held=held,
        tracks=tracks,
        who={track.id: called(whose(track.id, track.identity_id, said), said) for track in tracks},
        shown=shown,
        sizes=_sizes(folder, shown),
        measured=sum(face.crop is not None for face in shown),
        timelines=timelines(tracks, gaps, made),
        gaps=gap_lines(gaps, None, None, made),
        answers=_answers(folder, answers, shown),
    )
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


class _Album:
    """Decodes faces into files."""

    def __init__(self, folder: Path, archive: Archive, codec: FaceCodec) -> None:
        self._folder = folder
        self._archive = archive
        self._decoder = Reconstructor(archive, codec)
        for name in ("base", "full", "photos"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def show(self, tracks: Sequence[TrackRecord]) -> list[_Shown]:
        """The best face of each track."""
        ids = [track.face_ids[0] for track in tracks]
        faces = self._archive.faces(ids)
        bases = self._decoder.pictures(ids, Layer.BASE)
        whole = [face.id for face in faces if Layer.FULL in face.layers]
        fulls = dict(zip(whole, self._decoder.pictures(whole, Layer.FULL), strict=True))
        return [
            self._one(track, face, base, fulls.get(face.id))
            for track, face, base in zip(tracks, faces, bases, strict=True)
        ]

    def _one(self, track: TrackRecord, face: FaceRecord, base: Image, full: Image | None) -> _Shown:
        code = self._archive.code(face.id)
        crop_file = crops_folder(self._folder) / crop_name(code)
        crop = _read(crop_file) if crop_file.exists() else None
        return _Shown(
            track=track,
            face=face,
            crop=f"{crop_file.parent.name}/{crop_file.name}" if crop is not None else None,
            base=_save(self._folder, f"base/{face.id}.png", base),
            full=_save(self._folder, f"full/{face.id}.png", full) if full is not None else None,
            base_bytes=coded_bytes(code, Layer.BASE),
            full_bytes=coded_bytes(code, Layer.FULL),
            psnr_base=_psnr(crop, base) if crop is not None else None,
            psnr_full=_psnr(crop, full) if crop is not None and full is not None else None,
        )


def _sizes(folder: Path, shown: Sequence[_Shown]) -> list[_Size]:
    """Mean sizes of the faces whose original is at hand: ours, and JPEG's with a feature beside it."""
    faces = [(face, _read(folder / face.crop)) for face in shown if face.crop]
    if not faces:
        return []
    base = float(np.mean([face.base_bytes for face, _ in faces]))
    full = float(np.mean([face.full_bytes for face, _ in faces]))

    def row(what: str, size: float, psnrs: Sequence[float | None]) -> _Size:
        known = [psnr for psnr in psnrs if psnr is not None]
        return _Size(what, size, size / full, float(np.mean(known)) if known else None)

    rows = [
        row("base layer: searchable, a coarse picture", base, [face.psnr_base for face, _ in faces]),
        row("both layers: searchable, the full picture", full, [face.psnr_full for face, _ in faces]),
    ]
    for quality in JPEG_QUALITIES:
        files = [_jpeg(crop, quality) for _, crop in faces]
        psnrs = [_psnr(crop, decoded) for (_, crop), (_, decoded) in zip(faces, files, strict=True)]
        size = float(np.mean([size for size, _ in files])) + FEATURE_BYTES
        rows.append(row(f"JPEG, quality {quality}, and a float32 feature of 128 numbers", size, psnrs))
    return rows


def _jpeg(image: Image, quality: int) -> tuple[int, Image]:
    """Bytes of the picture as JPEG, and the picture that comes out again."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return len(data), np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def _answers(folder: Path, answers: Sequence[Answer], shown: Sequence[_Shown]) -> list[dict[str, object]]:
    """The answers with their pictures in files, for the template."""
    faces = {face_id: face for face in shown for face_id in face.track.face_ids}
    listed: list[dict[str, object]] = []
    for number, answer in enumerate(answers):
        photo = _save(folder, f"photos/{number}.png", answer.face)
        listed.append({"answer": answer, "photo": photo, "found": faces.get(answer.found or "")})
    return listed


def _read(path: Path) -> Image:
    with Picture.open(path) as picture:
        return np.array(picture.convert("RGB"))


def _save(folder: Path, name: str, image: Image) -> str:
    Picture.fromarray(image).save(folder / name)
    return name


def _psnr(one: Image, other: Image) -> float:
    """Peak signal-to-noise ratio over all pixels and colours, dB."""
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def _utc(time: datetime, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return time.astimezone(UTC).strftime(form)
