"""What did they look like: archived faces as pictures, decoded when asked for, and kept for the next time.

The cache is a folder of PNG files, one a picture, named by face, layer and a hash of the codec and the bytes that it
was decoded from: a face that was archived anew, at another quality or by another codec, is decoded anew. The archive
is asked every time, so that a face that was erased is not shown again.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image as Picture

from streamproc.errors import CorruptCode, UnknownRecord, WrongCodec
from streamproc.query.reader import ArchiveReader
from streamproc.types import CROP_SIZE, FaceCode, Image, Layer

_log = logging.getLogger(__name__)

_AT_ONCE = 32
"""Faces in one call of the codec: bounds its memory."""


class PictureCodec(Protocol):
    """What reconstruction needs of a codec; `streamproc.FaceCodec` is one."""

    @property
    def codec_id(self) -> str:
        """The name of its weights."""
        ...

    def reconstruct(self, base: Sequence[bytes], enhancement: Sequence[bytes] | None = None, /) -> Image:
        """(N, 256, 256, 3) uint8 RGB of N base layers, and of their enhancement layers where given."""
        ...


class Reconstructor:
    """Pictures of an archive's faces; `cache` is a folder to keep them in, None keeps none."""

    def __init__(self, archive: ArchiveReader, codec: PictureCodec, cache: Path | None = None) -> None:
        self._archive = archive
        self._codec = codec
        self._cache = cache

    def picture(self, face_id: str, layer: Layer) -> Image:
        """The face, (256, 256, 3) uint8 RGB; errors as in `pictures`."""
        return self.pictures([face_id], layer)[0]

    def pictures(self, face_ids: Sequence[str], layer: Layer) -> list[Image]:
        """The faces in the order asked, each (256, 256, 3) uint8 RGB, from the base layer alone or from both.

        Raises UnknownRecord when a face, or the layer asked for, is not held, WrongCodec when another codec wrote it,
        CorruptCode when it was damaged.
        """
        codes = [self._code(face_id, layer) for face_id in face_ids]
        kept = [self._kept(face_id, layer, code) for face_id, code in zip(face_ids, codes, strict=True)]
        missing = [k for k, picture in enumerate(kept) if picture is None]
        decoded: dict[int, Image] = {}
        for start in range(0, len(missing), _AT_ONCE):
            batch = missing[start : start + _AT_ONCE]
            pictures = self._decode([face_ids[k] for k in batch], [codes[k] for k in batch], layer)
            for k, picture in zip(batch, pictures, strict=True):
                self._keep(face_ids[k], layer, codes[k], picture)
                decoded[k] = picture
        return [decoded[k] if picture is None else picture for k, picture in enumerate(kept)]

    def _code(self, face_id: str, layer: Layer) -> FaceCode:
        code = self._archive.code(face_id)
        if code.codec_id != self._codec.codec_id:
            raise WrongCodec(
                f"Face '{face_id}' was coded by codec {code.codec_id}, and {self._codec.codec_id} is loaded: "
                "load the profile, or the weights, that wrote it."
            )
        if layer is Layer.FULL and code.enhancement is None:
            raise UnknownRecord(
                f"Of face '{face_id}' only the base layer is held: ask for that one (--layer base), "
                "or ingest its video again with an enhancement layer."
            )
        return code

    def _decode(self, face_ids: Sequence[str], codes: Sequence[FaceCode], layer: Layer) -> Image:
        bases = [code.base for code in codes]
        enhancements = [code.enhancement for code in codes if code.enhancement is not None]
        try:
            return self._codec.reconstruct(bases, enhancements if layer is Layer.FULL else None)
        except CorruptCode as error:
            if len(codes) == 1:
                raise CorruptCode(f"Face '{face_ids[0]}' cannot be decoded: {error}") from error
            # One of them is damaged: alone, it raises by its name.
            return np.concatenate([self._decode([k], [code], layer) for k, code in zip(face_ids, codes, strict=True)])

    def _file(self, folder: Path, face_id: str, layer: Layer, code: FaceCode) -> Path:
        payload = code.base if layer is Layer.BASE or code.enhancement is None else code.base + code.enhancement
        digest = hashlib.sha256(code.codec_id.encode() + b"\0" + payload).hexdigest()[:16]
        return folder / f"{face_id}-{layer}-{digest}.png"

    def _kept(self, face_id: str, layer: Layer, code: FaceCode) -> Image | None:
        if self._cache is None:
            return None
        try:
            with Picture.open(self._file(self._cache, face_id, layer, code)) as picture:
                image = np.array(picture)
        except (OSError, SyntaxError, ValueError):  # not there, or damaged: it will be decoded again
            return None
        return image if image.shape == (CROP_SIZE, CROP_SIZE, 3) and image.dtype == np.uint8 else None

    def _keep(self, face_id: str, layer: Layer, code: FaceCode, image: Image) -> None:
        if self._cache is None:
            return
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            _write_whole(self._file(self._cache, face_id, layer, code), image)
        except OSError as error:  # the picture is there all the same
            _log.warning("The picture of face '%s' was not kept in %s: %s", face_id, self._cache, error)


def _write_whole(path: Path, image: Image) -> None:
    """Nothing; the PNG is written beside and renamed: who is killed here, or reads meanwhile, never has half of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
        try:
            Picture.fromarray(image).save(part, format="PNG")
            part.close()
            os.replace(part.name, path)
        except BaseException:
            os.unlink(part.name)
            raise
