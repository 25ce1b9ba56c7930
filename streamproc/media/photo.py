"""A picture out of a file."""

from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import ImageOps

from streamproc.errors import NotVideo, SourceNotFound
from streamproc.types import Image


def read_photo(path: Path) -> Image:
    """The picture (H, W, 3) uint8 RGB, upright as its camera meant it.

    Raises SourceNotFound, or NotVideo when the file is no picture.
    """
    try:
        with Picture.open(path) as picture:
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except FileNotFoundError as error:
        raise SourceNotFound(f"'{path}' does not exist: check the name of the picture.") from error
    except (OSError, SyntaxError, ValueError, Picture.DecompressionBombError) as error:
        raise NotVideo(f"'{path}' is no picture that can be read: give a JPEG, PNG or WebP file.") from error
