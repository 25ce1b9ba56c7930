"""Conventional codecs and the measures of pictures."""

import numpy as np
import pytest
from made_lfw import LittleLfw, made_lfw

from streamproc.codec.hevc import decode_hevc, encode_hevc
from streamproc.codec.ms_ssim import decibels, ms_ssim
from streamproc.codec.picture_files import Hevc, Jpeg, Jpeg2000, PictureCoder
from streamproc.evaluation.picture_methods import BasePictures, Conventional, Ours, OverBase, PrincipalComponents
from streamproc.evaluation.pictures import psnr


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> LittleLfw:
    return made_lfw(tmp_path_factory.mktemp("little"))


LADDERS: dict[str, tuple[PictureCoder, ...]] = {
    "jpeg": (Jpeg(5), Jpeg(30), Jpeg(90)),
    "jpeg2000": (Jpeg2000(25), Jpeg2000(32), Jpeg2000(40)),
    "hevc": (Hevc(48), Hevc(36), Hevc(20)),
}


@pytest.mark.parametrize("name", LADDERS)
def test_dearer_is_better(name: str, little: LittleLfw) -> None:
    crops = little.crops[:2]
    coded = [Conventional(coder).code(crops) for coder in LADDERS[name]]
    sizes = [part.bytes.mean() for part in coded]
    quality = [psnr(crops, part.pictures).mean() for part in coded]
    assert sizes == sorted(sizes)
    assert quality == sorted(quality)
    assert quality[-1] > 35
    for part in coded:
        assert (part.headers > 40).all()
        assert (part.headers < part.bytes).all()
        assert part.pictures.dtype == np.uint8


def test_hevc_keeps_grey_and_colours() -> None:
    for colour in ((128, 128, 128), (255, 255, 255), (200, 60, 60)):
        picture = np.full((64, 64, 3), colour, np.uint8)
        shown = decode_hevc(encode_hevc(picture, 10), 64 * 64)
        assert np.abs(shown.astype(int) - picture).max() <= 3


def test_over_base_and_components(little: LittleLfw) -> None:
    crops = little.crops[:2]
    base = Ours(little.codec, None).code(crops)
    fine = OverBase(Hevc(30), BasePictures(little.codec)).code(crops)
    assert (psnr(crops, fine.pictures) > psnr(crops, base.pictures) + 8).all()
    assert (fine.bytes > base.bytes + 6).all()
    assert (fine.headers == 85).all()
    components = PrincipalComponents(little.crops, 32, 60)
    coded = components.code(little.crops)
    assert coded.bytes.mean() * 8 == pytest.approx(60, rel=0.3)
    assert psnr(little.crops, coded.pictures).mean() > 18


def test_ms_ssim(little: LittleLfw) -> None:
    crops = little.crops[:2]
    assert ms_ssim(crops, crops) == pytest.approx(1)
    noisy = np.clip(crops + np.random.default_rng(0).normal(0, 20, crops.shape), 0, 255).astype(np.uint8)
    assert (ms_ssim(crops, noisy) < 0.99).all()
    assert decibels(0.9) == pytest.approx(10)
