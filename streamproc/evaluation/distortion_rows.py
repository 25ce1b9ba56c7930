"""The rows of `evaluate rate-distortion`."""

from dataclasses import dataclass

OURS, BASE, ALONE = "ours", "our base layer alone", "hyperprior alone"
OVER_BASE = " over our base"
"""Ending of the names of conventional codecs that code what our base picture leaves over."""


@dataclass(frozen=True, slots=True)
class DistortionRow:
    """A method at a setting, means over the pictures: bits a pixel, those of a conventional file's header among them,
    PSNR (dB), MS-SSIM."""

    method: str
    setting: str
    bpp: float
    header_bpp: float
    psnr: float
    ms_ssim: float


@dataclass(frozen=True, slots=True)
class DeltaRow:
    """Bjontegaard's delta of our codec's rate against a method's, per cent (negative: we need less), by PSNR and by
    MS-SSIM in dB; the last two with the conventional files' headers not counted. None: no range in common."""

    against: str
    psnr: float | None
    ms_ssim: float | None
    psnr_without_headers: float | None
    ms_ssim_without_headers: float | None


@dataclass(frozen=True, slots=True)
class GainRow:
    """Rate that the first of two methods takes beyond the other, per cent, at the lowest and at the highest quality
    (dB) that both reach, by a measure ("psnr", "ms_ssim"), headers counted; and the quality at which its gain `ends`,
    None where it lasts up to the highest."""

    against: str
    measure: str
    lowest: float
    at_lowest: float
    highest: float
    at_highest: float
    ends: float | None


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """What SFace makes of pictures: bits a pixel, verification on the judged pairs, mean cosine to the original."""

    pictures: str
    bpp: float
    accuracy: float
    tar_at_far_1e3: float
    cosine: float
