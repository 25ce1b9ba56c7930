"""Makes the known face that the service sends through its own path, and says how well it is found.

    python benchmarks/known_face.py WORK/faces [--out pipelines/known_face.jpg] [--archive URL]

`WORK/faces` holds the prepared faces of `train faces`. The picture is the mean of the aligned portraits of one
public-domain set, a face that nobody has, before a plain wall. With `--archive` the service's own question is also put
to the faces there. Nothing is chosen by what is printed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.known_face import MARGIN, SIZE, known_frames
from streamproc import FaceCodec, FaceFinder
from streamproc.media.photo import read_photo
from streamproc.query.search import FALSE_ALARMS
from streamproc.training.data import load_faces
from streamproc.types import Image

SET = "congress"
"""Official portraits, works of the United States' government: in the public domain, so their mean may be shipped."""
FACE = 120
"""Height of the face in the picture, pixels; a crop is 1.32 times as high."""
WALL = np.array([[196.0, 198.0, 200.0], [138.0, 142.0, 150.0]])
"""Its colours at the top and at the bottom."""


def average_face(faces: Path) -> tuple[npt.NDArray[np.float64], int]:
    """(256, 256, 3) mean of the set's aligned faces, and how many they are."""
    data = load_faces(faces)
    chosen = np.array([name.startswith(f"{SET}/") for name in data.names.tolist()]) & (data.visible > 0.98)
    return data.crops[chosen].mean(axis=0, dtype=np.float64), int(chosen.sum())


def before_a_wall(face: npt.NDArray[np.float64]) -> Image:
    """The known picture: the face, fading into a wall that is lit from above."""
    height, width = SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN
    down = np.linspace(0.0, 1.0, height)[:, None, None]
    picture = np.broadcast_to(WALL[0] * (1 - down) + WALL[1] * down, (height, width, 3)).copy()
    side = round(FACE * 1.32)
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    y, x = (np.indices((side, side)) - (side - 1) / 2) / (side / 2)
    mask = np.clip((0.98 - np.hypot(x / 0.78, y)) / 0.12, 0.0, 1.0)[..., None]
    top, left = (height - side) // 2, (width - side) // 2
    place = picture[top : top + side, left : left + side]
    place[:] = mask * small + (1 - mask) * place
    return picture.round().astype(np.uint8)


def report(archive: str | None) -> None:
    """Prints what finder and codec make of the known frames, also of such as a fault would spoil."""
    finder, codec = FaceFinder.load("cpu"), FaceCodec.load()
    frames = known_frames(8)

    def features(images: Sequence[Image]) -> npt.NDArray[np.float32]:
        crops = [crop for image in images for crop in finder.find(image)]
        print(f"  {len(crops)} faces in {len(images)} frames", end="")
        if not crops:
            return np.zeros((0, 128), np.float32)
        size, quality = np.mean([c.detection.box[3] - c.detection.box[1] for c in crops]), crops[0].quality
        print(f", {size:.0f} px, quality {quality:.2f}, confidence {crops[0].detection.confidence:.3f}", end="")
        return codec.features([code.base for code in codec.encode(np.stack([crop.image for crop in crops]), None)])

    print("as they are:")
    known = features(frames)
    question = known[0]
    spoilt = {
        "the others": frames[1:],
        "red and blue exchanged": [np.ascontiguousarray(frame[:, :, ::-1]) for frame in frames],
        "upside down": [np.ascontiguousarray(frame[::-1]) for frame in frames],
        "half as large": [np.ascontiguousarray(frame[::2, ::2]) for frame in frames],
        "dark": [frame // 8 for frame in frames],
        "a byte out of place": [np.roll(frame.reshape(-1), 1).reshape(frame.shape) for frame in frames],
    }
    for what, images in spoilt.items():
        print(f"\n{what}:")
        found = features(images)
        if len(found):
            cosines = found @ question
            print(f"; similarity {cosines.min():.3f} to {cosines.max():.3f}", end="")
    print()
    for count in (1_000, 1_000_000):
        needed = codec.calibration.threshold(count, FALSE_ALARMS)
        print(f"a match among {count} faces takes a similarity of {needed:.3f}")
    if archive is not None:
        from storage import Archive

        with Archive.open(archive) as opened:
            layers = opened.base_layers(codec.codec_id)
        strangers = codec.features(list(layers.payloads)) @ question
        print(f"{len(strangers)} faces of {archive}: similarity up to {strangers.max():.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "pipelines" / "known_face.jpg")
    parser.add_argument("--archive")
    options = parser.parse_args()
    face, count = average_face(options.faces)
    picture = before_a_wall(face)
    cv2.imwrite(str(options.out), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    print(
        f"{options.out}: the mean of {count} faces, {options.out.stat().st_size} bytes, {read_photo(options.out).shape}"
    )
    report(options.archive)


if __name__ == "__main__":
    main()
