"""Measures how features of real faces lie, for `bench search` to draw millions like them; and how well drawn ones do.

    python benchmarks/feature_spread.py PICTURES [--features KEPT.npz] [--out pipelines/bench/feature_spread.json]

`PICTURES` is a folder of files IDENTITY_ANY.EXT, such as CelebA's. Half of the people give the figures that are
written; the similarities of the others, whom they do not know, are printed beside those of drawn faces.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from pipelines.bench.drawn_faces import Crowd, Spread, as_json
from storage.index import live_basis
from streamproc import FaceCodec, FaceFinder
from streamproc.media.photo import read_photo
from streamproc.types import FloatArray

PEOPLE, PICTURES = 300, 5


def measured_features(folder: Path) -> tuple[FloatArray, FloatArray]:
    """Decoded features and those before coding of `PICTURES` pictures of `PEOPLE` people, each (P, N, 128)."""
    pictures: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        pictures[path.name.split("_")[0]].append(path)
    people = [paths for _, paths in sorted(pictures.items()) if len(paths) >= 2 * PICTURES]
    step = len(people) // PEOPLE
    finder, codec = FaceFinder.load("cpu"), FaceCodec.load()
    decoded, raw = [], []
    for paths in people[::step]:
        crops = [found[0].image for path in paths if (found := finder.find(read_photo(path)))][:PICTURES]
        if len(crops) == PICTURES:
            images = np.stack(crops)
            decoded.append(codec.features([code.base for code in codec.encode(images, quality=None)]))
            raw.append(codec.raw_features(images))
            print(len(decoded), end="\r", flush=True)
    return np.stack(decoded), np.stack(raw)


def spread_of(features: FloatArray) -> Spread:
    """How features (P, N, F) lie: along their principal directions, between people and within one."""
    _, looks, length = features.shape
    _, directions = np.linalg.eigh(np.einsum("pnf,png->fg", features, features, dtype=np.float64))
    coordinates = features.astype(np.float64) @ directions[:, : length - 65 : -1]
    means = coordinates.mean(axis=1)
    within = coordinates.var(axis=1, ddof=1).mean(axis=0)
    between = means.var(axis=0, ddof=1) - within / looks
    distances = np.square((coordinates - means[:, None]) / np.sqrt(within)).mean(axis=2)
    # Squared distances, of which 64 normal coordinates alone would make this much vary.
    uneven = np.log(distances).var() - 2 / len(within)
    return Spread(
        means.mean(axis=0), np.sqrt(np.maximum(between, 0)), np.sqrt(within), float(np.sqrt(max(uneven, 0)) / 2)
    )


def similarities(archived: FloatArray, asked: FloatArray) -> str:
    """Mean and spread of the similarity of a person's questions to their own other looks, and to other people's."""
    products = np.einsum("pnf,qmf->pqnm", archived, asked)
    people, looks = archived.shape[:2]
    own = products[np.arange(people), np.arange(people)][:, ~np.eye(looks, dtype=bool)]
    others = products[~np.eye(people, dtype=bool)]
    far = np.quantile(others, (0.99, 0.9999))
    return (
        f"same person {own.mean():.3f} +- {own.std():.3f} (1 in 20 below {np.quantile(own, 0.05):.3f}), others "
        f"{others.mean():.3f} +- {others.std():.3f} (1 in 100 above {far[0]:.3f}, 1 in 10,000 above {far[1]:.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--features", type=Path, help="keep the measured features here, or take them from here")
    parser.add_argument("--out", type=Path, help="write the figures here")
    options = parser.parse_args()
    if options.features is not None and options.features.exists():
        kept = np.load(options.features)
        decoded, raw = kept["decoded"], kept["raw"]
    else:
        decoded, raw = measured_features(options.pictures)
        if options.features is not None:
            np.savez(options.features, decoded=decoded, raw=raw)
    flat = decoded.reshape(-1, decoded.shape[-1])
    basis = live_basis(flat)
    lost = 1 - float(np.square(flat @ basis.T).sum(axis=1).min())
    print(f"{len(flat)} features live in {len(basis)} dimensions but for {lost:.1e} of a squared length at most")
    spread = spread_of(decoded[::2])
    print(f"real, decoded to decoded: {similarities(decoded[1::2], decoded[1::2])}")
    print(f"real, asked to decoded:   {similarities(decoded[1::2], raw[1::2])}")
    people, looks = decoded[1::2].shape[:2]
    crowd = Crowd(spread, people * looks, looks, 0)
    drawn = crowd.features(0, people * looks)[np.argsort(crowd.who, kind="stable")].reshape(people, looks, -1)
    print(f"drawn:                    {similarities(drawn, drawn)}")
    if options.out is not None:
        options.out.write_text(json.dumps(as_json(spread)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
