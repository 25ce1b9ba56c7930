"""Motion smear: how far a passing face moved while the shutter was open, told from its crop, and taken back.

A picture smeared over a length L is the sharp one times sinc(L f) in frequency, along the way (f cycles a pixel): what
is missing along the way and there across it tells L, with a small net (`streamproc.training.smear`) in place of a
formula, for faces, noise and compression bend the spectrum too. Given L it is taken back by Wiener's filter. Nothing is
made up: frequencies that the smear or the noise took stay low. What a feature net makes of such a crop is moved to what
it would have made of the sharp one, as far as a linear map can tell that from how much was smeared.
"""

from functools import cache
from importlib.resources import files

import cv2
import numpy as np
from safetensors.numpy import load

from streamproc.types import CROP_SIZE, Array, FloatArray, Image

FACE_WIDTH = 144.0
"""Width of MTCNN's mean box inside the crop, pixels: what a smear is a share of."""
LEAST = 0.08
"""Share of the face's width below which nothing is taken back: features hardly notice so little."""
NOISE = 0.5
"""Power of noise against the picture's at a frequency, for each cycle a pixel: pictures fade, noise does not."""
MARGIN = 32
"""Pixels of the crop, on each side, that hold hair and background: their spectrum is not looked at."""
BANDS = 64
"""Frequencies looked at along the way, and as many across it."""
WEIGHTS = "smear.safetensors"
USUAL_WIDTH = 60.0
"""Pixels that a face is wide in a camera's picture: what other widths are reckoned against."""


def smear(crop: Image, heading: float) -> float:
    """Share of the face's width that an aligned crop (256, 256, 3) uint8 RGB is smeared over, from 0 up; it moved
    along `heading` (radians in the crop, from x towards y; there and back are one)."""
    net = weights()
    value = (spectra(crop, heading) - net["mean"]) / net["deviation"]
    for layer in ("0", "2"):
        value = np.maximum(net[f"{layer}.weight"] @ value + net[f"{layer}.bias"], 0)
    return max(0.0, float((net["4.weight"] @ value + net["4.bias"])[0]))


def unsmeared(crop: Image, heading: float | None) -> tuple[Image, float]:
    """The crop as if the face had stood still, (256, 256, 3) uint8 RGB, and the share of the face's width that was
    taken back; itself and 0 where it hardly moved, or nobody knows along which `heading`."""
    share = 0.0 if heading is None else smear(crop, heading)
    return (crop, 0.0) if heading is None or share < LEAST else (taken_back(crop, share, heading), share)


def restored(features: FloatArray, shares: FloatArray, widths: FloatArray) -> FloatArray:
    """(N, 128) of unit norm: what the pretrained trunk would have told of sharp faces, by its features (N, 128) of
    crops out of which smears over `shares` (N,) of a face's width were taken back (0: the feature stays), of faces
    `widths` (N,) pixels wide in the camera's picture.

    The linear least-squares estimate (ridge regression) of the sharp face's feature, its matrix depending on both.
    """
    told = known(features, shares, widths) @ weights()["restoring"].astype(np.float32)
    told /= np.linalg.norm(told, axis=1, keepdims=True)
    found: FloatArray = np.where(shares[:, None] > 0, told, features).astype(np.float32)
    return found


def known(features: FloatArray, shares: FloatArray, widths: FloatArray) -> FloatArray:
    """(N, 645): features, alone and times each of four terms of shares and widths, those terms, and 1."""
    wide = np.log(widths / USUAL_WIDTH)
    terms = np.stack([2 * shares, 4 * shares**2, wide, 2 * shares * wide], axis=1).astype(np.float32)
    products = (features[:, None] * terms[:, :, None]).reshape(len(features), -1)
    told: FloatArray = np.concatenate([features, products, terms, np.ones_like(terms[:, :1])], axis=1)
    return told


def taken_back(crop: Image, share: float, heading: float) -> Image:
    """The crop without a smear over `share` of the face's width."""
    length = share * FACE_WIDTH
    side = 2 * cv2.getOptimalDFTSize(CROP_SIZE // 2 + min(int(length) + 16, CROP_SIZE // 2))
    passed = smearing(side, length, heading)
    frequencies = np.fft.fftfreq(side).astype(np.float32)
    noise = NOISE * np.hypot(frequencies[None], frequencies[:, None])
    sharp = filtered(crop, passed / (passed**2 + noise))
    picture: Image = np.rint(sharp).clip(0, 255).astype(np.uint8)
    return picture


def smearing(side: int, length: float, heading: float) -> FloatArray:
    """(side, side) float32: what passes of each frequency of a picture of that side that is smeared over `length`."""
    frequencies = np.fft.fftfreq(side)
    along = frequencies[None] * np.cos(heading) + frequencies[:, None] * np.sin(heading)
    passed: FloatArray = np.sinc(length * along).astype(np.float32)
    return passed


def filtered(crop: Image, response: FloatArray) -> FloatArray:
    """(256, 256, 3) float32: the crop through a filter with `response` (as from `smearing`, its side even), mirrored
    round about as far as that side exceeds its own."""
    margin = (len(response) - CROP_SIZE) // 2
    framed = cv2.copyMakeBorder(crop, margin, margin, margin, margin, cv2.BORDER_REFLECT).astype(np.float32)
    planes = []
    for plane in cv2.split(framed):
        spectrum = cv2.dft(plane, flags=cv2.DFT_COMPLEX_OUTPUT) * response[..., None]
        planes.append(cv2.idft(spectrum, flags=cv2.DFT_REAL_OUTPUT | cv2.DFT_SCALE)[margin:-margin, margin:-margin])
    passed: FloatArray = np.dstack(planes)
    return passed


def spectra(crop: Image, heading: float) -> FloatArray:
    """(128,) float32: logarithms of the crop's power at 64 frequencies along the way, and at as many across it."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    middle = (CROP_SIZE - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), np.degrees(heading), 1.0)
    turned = cv2.warpAffine(grey, turn, (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    face = turned[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(np.float32)
    face = (face - face.mean()) / (face.std() + 4)
    power = np.concatenate([_power(face), _power(face.T)])
    logarithms: FloatArray = np.log(power + 0.01).astype(np.float32)
    return logarithms


def _power(face: FloatArray) -> FloatArray:
    """(64,) power of the rows' frequencies, rows and places in the middle counting more."""
    window = np.hanning(len(face)).astype(np.float32)
    rows = (face - face.mean(axis=1, keepdims=True)) * window
    power: FloatArray = (np.abs(np.fft.rfft(rows, axis=1)) ** 2 * window[:, None]).sum(axis=0)
    kept: FloatArray = power[1 : BANDS + 1]
    return kept


@cache
def weights() -> dict[str, Array]:
    """The trained net and its input's mean and deviation, read once."""
    return load(files("streamproc.faces").joinpath(WEIGHTS).read_bytes())
