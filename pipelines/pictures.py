"""Archived faces as picture files. Importing it loads torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Picture

from pipelines.upgrading.weights import WeightsAtHand
from storage import Archive
from streamproc.config import Settings
from streamproc.query import Reconstructor
from streamproc.types import FaceCode, Image, Layer


@dataclass(frozen=True, slots=True)
class WrittenPicture:
    """A picture file; `bytes` is what it was decoded from."""

    face_id: str
    path: Path
    layer: Layer
    bytes: int


def write_pictures(
    archive: Archive, settings: Settings, face_ids: Sequence[str], layer: Layer, folder: Path
) -> list[WrittenPicture]:
    """One PNG a face in `folder`, each by the weights that wrote it; errors as `Reconstructor.pictures`, and
    WeightsError where those are not at hand."""
    weights = WeightsAtHand(archive, settings)
    wrote = {face_id: archive.code(face_id).codec_id for face_id in face_ids}
    images: dict[str, Image] = {}
    for codec_id in dict.fromkeys(wrote.values()):
        own = [face_id for face_id in wrote if wrote[face_id] == codec_id]
        shown = Reconstructor(archive, weights.required(codec_id)).pictures(own, layer)
        images |= dict(zip(own, shown, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    written: list[WrittenPicture] = []
    for face_id in face_ids:
        path = folder / f"{face_id}-{layer}.png"
        Picture.fromarray(images[face_id]).save(path)
        written.append(WrittenPicture(face_id, path, layer, coded_bytes(archive.code(face_id), layer)))
    return written


def coded_bytes(code: FaceCode, layer: Layer) -> int:
    """Bytes that a layer's picture is decoded from: the full one needs both."""
    enhancement = code.enhancement if layer is Layer.FULL else None
    return len(code.base) + len(enhancement or b"")
