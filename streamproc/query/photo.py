"""The one face of a photo that is asked about: found, or chosen, never guessed."""

from collections.abc import Callable, Sequence

from streamproc.errors import NoFace, SeveralFaces
from streamproc.types import FaceCrop, Image


def ask_photo(
    image: Image, find: Callable[[Image], Sequence[FaceCrop]], face: int | None = None, name: str = "the photo"
) -> FaceCrop:
    """The face of `image` (H, W, 3) to ask about: its only one, or number `face`, counted from 1 from left to right.

    `find` gives the faces of a picture; `name` is what errors call this one. Raises NoFace when there is none, or none
    of that number, SeveralFaces when there are several and none was chosen: its message numbers them.
    """
    crops = sorted(find(image), key=_place)
    if not crops:
        raise NoFace(f"No face was found in {name}: take a photo with a larger, sharper or more frontal face.")
    if face is None:
        if len(crops) > 1:
            raise SeveralFaces(
                f"There are {len(crops)} faces in {name}: choose one with --face N, N from left to right: "
                + "; ".join(f"{number} at {_box(crop)}" for number, crop in enumerate(crops, start=1))
                + "."
            )
        return crops[0]
    if not 1 <= face <= len(crops):
        held = "1 face" if len(crops) == 1 else f"{len(crops)} faces"
        raise NoFace(f"There is no face {face} in {name}, which has {held}: choose one of those with --face N.")
    return crops[face - 1]


def _place(crop: FaceCrop) -> tuple[float, float]:
    x0, y0, x1, y1 = (float(value) for value in crop.detection.box)
    return x0 + x1, y0 + y1


def _box(crop: FaceCrop) -> str:
    x0, y0, x1, y1 = (round(float(value)) for value in crop.detection.box)
    return f"({x0}, {y0}, {x1}, {y1})"
