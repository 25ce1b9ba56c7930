"""Training of the paper's own configuration: the cut trunk, where the parts start, what a run leaves behind."""

from pathlib import Path

import numpy as np
import pytest
import torch

from streamproc.codec.facenet import whiten
from streamproc.codec.feature_pictures import LaplacianNet, StructureNet
from streamproc.codec.multi_task import LATE, MIDDLE, VIEW, MultiTaskTop, TrunkBottom, TrunkOutputs
from streamproc.codec.shape import SHAPES
from streamproc.codec.trunk import load_trunk
from streamproc.errors import WeightsError
from streamproc.training.base_parts import trained_parts
from streamproc.training.data import TrainingFaces
from streamproc.training.loop import Plan
from streamproc.training.residual import Hyperprior
from streamproc.training.structured import BITS, StructuredVector
from streamproc.training.trunk import features_of, measure, started, stored_features, train_weight, trained_trunk
from streamproc.training.trunk_inputs import CachedOutputs
from streamproc.training.trunk_start import linear_map

FACES = 200


def inputs(count: int = FACES) -> CachedOutputs:
    chance = torch.Generator().manual_seed(4)
    middle, late = (torch.rand(count, *shape, generator=chance).half() for shape in (MIDDLE, LATE))
    pictures = torch.randint(0, 256, (count, 3, 32, 32), generator=chance).to(torch.uint8)
    return CachedOutputs(TrunkOutputs(middle, late, torch.randn(count, 2, generator=chance).half()), pictures)


def faces(count: int = FACES) -> TrainingFaces:
    chance = np.random.default_rng(3)
    features = chance.normal(size=(count, 128)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    ones, names = np.ones(count, np.float32), np.array([f"x/{n}" for n in range(count)])
    identities = np.arange(count) // 3
    identities[::5] = -1
    return TrainingFaces(np.zeros((count, 0, 0, 3), np.uint8), features, identities, ones, ones, names)


def test_the_bottom_is_the_pretrained_trunk() -> None:
    trunk = load_trunk()
    crops = torch.rand(2, 3, 256, 256) * 255
    with torch.inference_mode():
        seen = TrunkBottom(trunk)(crops)
        assert seen.middle.shape[1:] == MIDDLE
        assert seen.late.shape[1:] == LATE
        net = trunk.net
        pooled = net.block8(seen.late).mean(dim=(2, 3))
        feature = torch.nn.functional.normalize(net.last_bn(net.last_linear(pooled)), dim=1)
        first, last = (round(edge * 256) for edge in VIEW)
        torch.testing.assert_close(feature, net(whiten(crops[..., first:last])[0]), atol=1e-5, rtol=1e-4)
    assert sum(p.numel() for p in MultiTaskTop().parameters()) < 3_500_000


def test_brightness_and_contrast_reach_the_top() -> None:
    bottom = TrunkBottom(load_trunk())
    crops = torch.rand(1, 3, 256, 256) * 100 + 20
    with torch.inference_mode():
        dark, bright = bottom(crops), bottom(crops * 1.5 + 10)
    torch.testing.assert_close(dark.middle, bright.middle, atol=1e-2, rtol=1e-2)
    assert (bright.light > dark.light).all()


def test_a_run_learns_and_leaves_its_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamproc.training.trunk_start.PICTURE_COMPONENTS", 100)
    data, seen = faces(), inputs()
    start = started(data, seen)
    # What chance has made is learned by heart.
    shown = start.eval().structure(features_of(start.top, seen, torch.arange(FACES)))
    held = torch.from_numpy(data.held_out())
    errors = (shown - seen.pictures / 255).square().mean(dim=(1, 2, 3)).detach()
    assert float(errors[~held].mean()) < 0.8 * float(errors[held].mean())
    plan = Plan(2, 12, 1e-4, slow="top")
    result = train_weight(start, data, seen, tmp_path, "trunk", plan, lambda *_: None, 100.0)
    assert set(result.metrics) >= {"loss", "entropy", "distance", "satd"}
    net = trained_trunk(tmp_path)
    found = measure(net, data, seen)
    assert 0 <= found.tar <= 1
    assert 0.4 < found.accuracy <= 1
    assert 0 < found.psnr < 40
    with pytest.raises(WeightsError, match="train trunk"):
        trained_trunk(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="train trunk"):
        stored_features(tmp_path)
    with pytest.raises(WeightsError, match="train feature"):
        trained_parts(tmp_path, "paper")


def test_linear_map_is_found() -> None:
    chance = torch.Generator().manual_seed(1)
    seen, weight = torch.randn(300, 6, generator=chance), torch.randn(4, 6, generator=chance)
    found, bias = linear_map(seen, seen @ weight.T + 2)
    torch.testing.assert_close(found, weight, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(bias, torch.full((4,), 2.0), atol=1e-4, rtol=1e-4)


def test_the_coder_starts_at_the_bits_asked_for_and_finer_where_the_picture_is() -> None:
    torch.manual_seed(1)
    sizes = torch.cat([torch.full((64,), 0.1), torch.full((64,), 0.02)])
    features = torch.randn(2000, 128) * sizes
    structure = StructureNet(128)
    torch.nn.init.zeros_(structure.linear.weight)
    with torch.no_grad():
        structure.linear.weight[:64, 64:] = 100 * torch.eye(64)
    net = StructuredVector()
    net.start(features, structure)
    with torch.no_grad():
        _, bits = net(features)
        decoded = net.rounded(features)
    assert abs(float(bits.mean()) - BITS) < 0.05 * BITS
    lost = (decoded - features).square().mean(dim=0)
    assert float(lost[64:].mean()) < 0.3 * float(lost[:64].mean())
    assert float((decoded - features).square().sum() / features.square().sum()) < 0.1


def test_pictures_of_every_level() -> None:
    feature = torch.nn.functional.normalize(torch.randn(3, 128), dim=1)
    assert StructureNet(128).eval()(feature).shape == (3, 3, 32, 32)
    levels = LaplacianNet(128).eval()(feature)
    assert [tuple(level.shape) for level in levels] == [(3, 3, side, side) for side in (64, 128, 256)]


def test_the_papers_hyperprior_is_told_nothing() -> None:
    torch.manual_seed(0)
    net = Hyperprior(SHAPES["paper"])
    residual, quality = torch.rand(2, 3, 128, 128), torch.tensor([0, 4])
    net.eval()
    with torch.inference_mode():
        silent, told = (
            net(residual, quality, symbols, (0, 0)) for symbols in (torch.zeros(2, 128), torch.ones(2, 128))
        )
    torch.testing.assert_close(silent.bits, told.bits)
    net.train()
    optimiser = torch.optim.Adam(net.parameters())
    out = net(residual, quality, torch.ones(2, 128), (64, 64))
    (out.bits.mean() + out.decoded.square().mean()).backward()
    optimiser.step()
    means = SHAPES["paper"].residual_latents
    assert not net.last.weight[means:].any()
    assert not net.base.weight.any()
    assert net.context_layers is None
