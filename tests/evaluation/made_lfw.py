"""A little LFW of six people, with training faces beside it."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Picture

from pipelines.samples import sample
from streamproc.codec.face_codec import FaceCodec
from streamproc.faces.finder import FaceFinder
from streamproc.media.photo import read_photo
from streamproc.types import Image

FOLDS = 10


@dataclass(frozen=True, slots=True)
class LittleLfw:
    """`data` as LFW's folder, `work` with prepared training faces, `crops` the six people's."""

    data: Path
    work: Path
    codec: FaceCodec
    crops: Image


def made_lfw(folder: Path) -> LittleLfw:
    data, work = folder / "lfw", folder / "work"
    (data / "images").mkdir(parents=True)
    crops = np.stack([crop.image for crop in FaceFinder.load("cpu").find(read_photo(sample("t1.jpg")))])
    for person, crop in enumerate(crops):
        face = cv2.resize(crop, (250, 250), interpolation=cv2.INTER_AREA)
        for look, light in enumerate((1.0, 0.9)):
            name = f"P{person}_{look + 1:04d}.jpg"
            Picture.fromarray((face * light).astype(np.uint8)).save(data / "images" / name, quality=95)
    lines = ["10\t2"]
    for fold in range(FOLDS):
        people = [(fold + n) % len(crops) for n in range(3)]
        lines += [f"P{people[0]}\t1\t2", f"P{people[1]}\t1\t2"]
        lines += [f"P{people[0]}\t1\tP{people[1]}\t1", f"P{people[0]}\t2\tP{people[2]}\t1"]
    (data / "pairs.txt").write_text("\n".join(lines) + "\n")
    codec = FaceCodec.load(device="cpu")
    _write_training(work / "faces", codec, crops)
    return LittleLfw(data, work, codec, crops)


def _write_training(folder: Path, codec: FaceCodec, crops: Image) -> None:
    """48 training faces: the six, turned and darkened; their features are true, as a protocol checks."""
    folder.mkdir(parents=True)
    looks = [
        (crop[:, ::step] * light).astype(np.uint8) for crop in crops for step in (1, -1) for light in (1, 0.9, 0.8, 0.7)
    ]
    faces = np.stack(looks)
    count = len(faces)
    np.savez(
        folder / "shard-000.npz",
        crops=faces,
        features=codec.raw_features(faces),
        identities=np.repeat(np.arange(len(crops)), count // len(crops)),
        visible=np.ones(count, np.float32),
        quality=np.ones(count, np.float32),
        names=np.array([f"celeba/{n}.webp" for n in range(count)]),
    )
