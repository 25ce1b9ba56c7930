"""Where base layers could show the goal's 23 dB: base-only PSNR against bits, ours and principal components.

    python benchmarks/base_limit.py WORK --out docs/base-limit.png

WORK: where `train faces` ran. Ours are the shipped nets, a bit of them made cheaper or dearer than at encoding; whole
payloads are counted, identity with them. 300 faces held out and as many trained on.
"""

import argparse
from pathlib import Path

import numpy as np

from streamproc.codec.base_code import latent_prices
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.trellis import level_costs
from streamproc.evaluation.picture_methods import COMPONENT_SIZE, PrincipalComponents
from streamproc.evaluation.pictures import psnr
from streamproc.evaluation.plots import Curve, plot
from streamproc.training.data import TrainingFaces, load_faces
from streamproc.training.texture import MIN_VISIBLE
from streamproc.types import Array, Image

FACES = 300
GOAL = 23.0
CHEAPER = (4.0, 2.0, 1.0, 0.5, 0.25, 0.12, 0.06)
"""What a bit of appearance costs, relative to its price at encoding; identity stays as it is."""
BITS = (200.0, 330.0, 460.0, 600.0)
FEW = 2000


def own(data: TrainingFaces, rows: Array, name: str) -> Curve:
    """The shipped base layer at each price."""
    codec = FaceCodec.load(device="cpu")
    code, crops = codec.base.code, data.crops[rows]
    latents, costs = codec.base.latents(crops, data.features[rows]), level_costs(code.tables)
    bits, quality = [], []
    for cheaper in CHEAPER:
        prices = latent_prices(code.trellis, codec.shape)
        prices[codec.base.identity_latents :] *= cheaper
        levels = code.trellis.quantise(latents, costs, int(code.tables.offsets[0]), prices)
        payloads = [code.pack(row) for row in levels]
        bits.append(8 * float(np.mean([len(one) for one in payloads])))
        quality.append(float(psnr(crops, codec.base.pictures(payloads)).mean()))
        print(f"{name}, price x {cheaper}: {bits[-1]:.0f} bits, {quality[-1]:.2f} dB", flush=True)
    return Curve(name, tuple(bits), tuple(quality), heavy=True)


def components(training: Image, crops: Image, name: str) -> Curve:
    """Principal components of training crops at 64x64, without an identity."""
    quality = []
    for bits in BITS:
        shown = PrincipalComponents(training, COMPONENT_SIZE, bits).code(crops).pictures
        quality.append(float(psnr(crops, shown).mean()))
        print(f"{name}: {bits:.0f} bits, {quality[-1]:.2f} dB", flush=True)
    return Curve(name, BITS, tuple(quality))


def main() -> None:
    """Print the points and draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path, default=Path("base-limit.png"))
    arguments = parser.parse_args()
    data = load_faces(arguments.work / "faces")
    held, seen = data.held_out(), data.visible >= MIN_VISIBLE
    kept_out, known = (np.flatnonzero(rows & seen)[:FACES] for rows in (held, ~held))
    training = data.crops[~held]
    few = training[:: len(training) // FEW]
    curves = [
        own(data, known, "ours, faces trained on"),
        own(data, kept_out, "ours, people held out"),
        components(few, data.crops[kept_out], f"components of {len(few):,} faces, people held out"),
        components(training, data.crops[kept_out], f"components of {len(training):,} faces, people held out"),
    ]
    ends = tuple(pick(x for curve in curves for x in curve.x) for pick in (min, max))
    goal = Curve("goal", ends, (GOAL, GOAL), dashed=True)
    plot(arguments.out, [*curves, goal], "bits of a base layer", "PSNR at 256x256 (dB)")


if __name__ == "__main__":
    main()
