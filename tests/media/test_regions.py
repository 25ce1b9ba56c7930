"""Which part of a picture counts, and what is painted over."""

import numpy as np

from streamproc.media.regions import Regions

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
CORNER = ((0.75, 0.0), (1.0, 0.0), (1.0, 0.5), (0.75, 0.5))


def test_masks_are_black_and_nothing_else_is() -> None:
    image = np.full((100, 200, 3), 90, np.uint8)
    painted = Regions(masks=(CORNER,)).blackened(image)
    assert (painted[:50, 150:] == 0).all()
    assert (painted[52:] == 90).all()
    assert (painted[:, :148] == 90).all()
    assert Regions(roi=LEFT).blackened(image) is image


def test_a_picture_that_cannot_be_written_to_is_copied() -> None:
    image = np.full((20, 20, 3), 90, np.uint8)
    image.flags.writeable = False
    painted = Regions(masks=(LEFT,)).blackened(image)
    assert painted[:, :9].max() == 0
    assert image.min() == 90


def test_cells_that_count() -> None:
    assert Regions().counted(16, 9).all()
    counted = Regions(LEFT, (CORNER,)).counted(16, 10)
    assert counted[:, :8].all()
    assert not counted[:, 9:].any()
    hidden = Regions(masks=(CORNER,)).counted(160, 90)
    assert not hidden[:45, 120:].any()
    assert hidden[:, :118].all()


def test_a_face_belongs_where_its_centre_is() -> None:
    regions = Regions(roi=LEFT)
    assert regions.holds(np.array([80, 10, 118, 50], np.float32), 200, 100)
    assert not regions.holds(np.array([85, 10, 125, 50], np.float32), 200, 100)
    assert Regions(masks=(LEFT,)).holds(np.array([0, 0, 10, 10], np.float32), 200, 100)
