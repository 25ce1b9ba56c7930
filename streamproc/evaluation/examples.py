"""`evaluate examples`: sheets of pictures (the paper's Figs. 6, 7 and 13)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.picture_files import PictureCoder
from streamproc.evaluation.lfw_set import LfwSet, sampled
from streamproc.evaluation.page import Section, write_page
from streamproc.evaluation.pictures import psnr
from streamproc.evaluation.plots import Tile, sheet
from streamproc.evaluation.rate_distortion import CONVENTIONAL
from streamproc.training.loop import Progress
from streamproc.types import Image

NAME = "examples"
PICTURES = 6
ACROSS = 8
"""People side by side on the sheet of base pictures."""
MIDDLE = 0.4
"""Share of the rate points below the one that the conventional codecs are set beside."""


@dataclass(frozen=True, slots=True)
class ExamplesResult:
    """The page and its sheets."""

    pictures: int
    codec_id: str
    page: Path
    base: Path
    progression: Path
    compared: Path


def evaluate(images: LfwSet, codec: FaceCodec, out: Path, count: int, progress: Progress) -> ExamplesResult:
    """Three sheets of `count` faces (the first of two rows of people), chosen by the hash of their names."""
    out.mkdir(parents=True, exist_ok=True)
    many = sampled(images.names, max(count, 2 * ACROSS))
    images.prepare(many, progress)
    crops = images.crops(many)
    base = sheet(out / "base.png", _base_rows(codec, crops))
    progress("sheets", 1, 3)
    progression = sheet(out / "progression.png", [_progression(codec, crop) for crop in crops[:count]])
    progress("sheets", 2, 3)
    compared = sheet(out / "compared.png", [_compared(codec, crop) for crop in crops[:count]])
    progress("sheets", 3, 3)
    sections = [
        Section(
            "From the base layer alone (Figs. 6 and 7)",
            ("Above the originals, below what the base shows.",),
            ((base, "Originals and base pictures"),),
        ),
        Section("Progression", (), ((progression, "Original, base layer, and each rate point"),)),
        Section(
            "Beside conventional codecs at our rate (Fig. 13)",
            ("Each at the setting whose file is nearest to ours in bytes.",),
            ((compared, "Original, ours, and conventional codecs of about as many bytes"),),
        ),
    ]
    lead = f"Faces of LFW, chosen by the hash of their names; codec {codec.codec_id}."
    page = write_page(out / "index.html", "Examples", lead, sections)
    return ExamplesResult(len(many), codec.codec_id, page, base, progression, compared)


def _base_rows(codec: FaceCodec, crops: Image) -> list[list[Tile]]:
    bases = [code.base for code in codec.encode(crops, None)]
    shown = codec.reconstruct(bases)
    rows = []
    for start in range(0, len(crops) - ACROSS + 1, ACROSS):
        part = range(start, start + ACROSS)
        rows.append([Tile(crops[n], "original") for n in part])
        rows.append([Tile(shown[n], _said("base", crops[n], shown[n], len(bases[n]))) for n in part])
    return rows


def _progression(codec: FaceCodec, crop: Image) -> list[Tile]:
    return [Tile(crop, "original"), _ours(codec, crop, None)[0], *(_ours(codec, crop, q)[0] for q in codec.qualities)]


def _compared(codec: FaceCodec, crop: Image) -> list[Tile]:
    quality = codec.qualities[int(MIDDLE * len(codec.qualities))]
    ours, size = _ours(codec, crop, quality)
    return [Tile(crop, "original"), ours, *(_nearest(n, coders, crop, size) for n, coders in CONVENTIONAL.items())]


def _ours(codec: FaceCodec, crop: Image, quality: int | None) -> tuple[Tile, int]:
    """(a tile of our codec, its bytes)."""
    (code,) = codec.encode(crop[None], quality)
    shown = codec.reconstruct([code.base], [code.enhancement])[0]
    size = len(code.base) + len(code.enhancement or b"")
    name = "base" if quality is None else f"ours, rate point {quality}"
    return Tile(shown, _said(name, crop, shown, size)), size


def _nearest(name: str, coders: Sequence[PictureCoder], crop: Image, size: int) -> Tile:
    """The codec's tile at the setting whose file is nearest to `size` bytes."""
    files = [(coder, coder.encode(crop)) for coder in coders]
    coder, data = min(files, key=lambda pair: abs(len(pair[1]) - size))
    shown = coder.decode(data)
    return Tile(shown, _said(name, crop, shown, len(data)))


def _said(name: str, crop: Image, shown: Image, size: int) -> str:
    return f"{name}\n{size:,} bytes, {psnr(crop[None], shown[None])[0]:.1f} dB"
