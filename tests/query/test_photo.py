"""The face of a photo: found, chosen, or asked about; never guessed."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from streamproc.errors import NoFace, SeveralFaces
from streamproc.query import ask_photo
from streamproc.types import Detection, FaceCrop, Image

PHOTO = np.zeros((300, 400, 3), np.uint8)


def crop(x: float, width: float) -> FaceCrop:
    """A face whose box begins at `x`."""
    box = np.array([x, 20.4, x + width, 20.4 + width], np.float32)
    detection = Detection(box, np.zeros((5, 2), np.float32), 0.9)
    return FaceCrop(None, None, detection, 0.8, np.zeros((256, 256, 3), np.uint8))


def finding(*crops: FaceCrop) -> Callable[[Image], Sequence[FaceCrop]]:
    """A finder that finds these, whatever the picture."""
    return lambda image: list(crops)


LARGE_RIGHT, MIDDLE, LEFT = crop(250, 100), crop(120, 60), crop(10, 30)
THREE = finding(LARGE_RIGHT, MIDDLE, LEFT)


def test_the_only_face_is_asked_about() -> None:
    assert ask_photo(PHOTO, finding(MIDDLE)) is MIDDLE
    assert ask_photo(PHOTO, finding(MIDDLE), 1) is MIDDLE


def test_no_face_is_said_with_the_photos_name() -> None:
    with pytest.raises(NoFace, match=r"^No face was found in holiday\.jpg: take a photo with"):
        ask_photo(PHOTO, finding(), name="holiday.jpg")
    with pytest.raises(NoFace, match="No face was found in the photo"):
        ask_photo(PHOTO, finding(), 1)


def test_several_faces_are_numbered_from_left_to_right() -> None:
    with pytest.raises(SeveralFaces) as caught:
        ask_photo(PHOTO, THREE, name="holiday.jpg")
    assert str(caught.value) == (
        "There are 3 faces in holiday.jpg: choose one with --face N, N from left to right: "
        "1 at (10, 20, 40, 50); 2 at (120, 20, 180, 80); 3 at (250, 20, 350, 120)."
    )


def test_the_chosen_face_is_the_one_of_that_number() -> None:
    assert [ask_photo(PHOTO, THREE, number) for number in (1, 2, 3)] == [LEFT, MIDDLE, LARGE_RIGHT]


@pytest.mark.parametrize("number", [0, -1, 4])
def test_a_number_that_no_face_has(number: int) -> None:
    with pytest.raises(NoFace, match=rf"There is no face {number} in the photo, which has 3 faces"):
        ask_photo(PHOTO, THREE, number)
    with pytest.raises(NoFace, match=r"which has 1 face: choose one of those with --face N"):
        ask_photo(PHOTO, finding(MIDDLE), number)
