"""Training of the paper's own configuration: the cut trunk, where the parts start, what a run leaves behind."""

from pathlib import Path

import numpy as np
import pytest
import torch

from streamproc.codec.feature_pictures import LaplacianNet, StructureNet
from streamproc.codec.multi_task import LATE, MIDDLE, MultiTaskTop, TrunkBottom, TrunkOutputs
from streamproc.codec.shape import SHAPES
from streamproc.codec.trunk import load_trunk
from streamproc.errors import WeightsError
from streamproc.training.base_parts import trained_parts
from streamproc.training.data import TrainingFaces
from streamproc.training.feature import identity_net, start_at_klt
from streamproc.training.loop import Plan
from streamproc.training.residual import Hyperprior
from streamproc.training.structured import FINEST, _refine_steps
from streamproc.training.trunk import CachedOutputs, measure, stored_features, train_weight, trained_trunk

FACES = 48


def inputs(count: int = FACES) -> CachedOutputs:
    chance = torch.Generator().manual_seed(4)
    middle, late = (torch.rand(count, *shape, generator=chance).half() for shape in (MIDDLE, LATE))
    pictures = torch.randint(0, 256, (count, 3, 32, 32), generator=chance).to(torch.uint8)
    return CachedOutputs(TrunkOutputs(middle, late, torch.zeros(count, 2).half()), pictures)


def faces(count: int = FACES) -> TrainingFaces:
    chance = np.random.default_rng(3)
    features = chance.normal(size=(count, 128)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    ones, names = np.ones(count, np.float32), np.array([f"x/{n}" for n in range(count)])
    identities = np.arange(count) // 3
    identities[::5] = -1
    return TrainingFaces(np.zeros((count, 0, 0, 3), np.uint8), features, identities, ones, ones, names)


def test_the_top_starts_at_the_pretrained_feature() -> None:
    trunk = load_trunk()
    top = MultiTaskTop()
    top.start_at(trunk)
    torch.nn.init.zeros_(top.side_out.weight)
    crops = torch.rand(2, 3, 256, 256) * 255
    with torch.inference_mode():
        seen = TrunkBottom(trunk)(crops)
        assert seen.middle.shape[1:] == MIDDLE
        assert seen.late.shape[1:] == LATE
        feature = top(seen)
        # What the whole net makes of the cut's output.
        net = trunk.net
        pooled = net.block8(seen.late).mean(dim=(2, 3))
        whole = torch.nn.functional.normalize(net.last_bn(net.last_linear(pooled)), dim=1)
    torch.testing.assert_close(feature, whole, atol=1e-5, rtol=1e-4)
    assert sum(p.numel() for p in top.parameters()) < 3_500_000


def test_brightness_and_contrast_reach_the_top() -> None:
    bottom = TrunkBottom(load_trunk())
    crops = torch.rand(1, 3, 256, 256) * 100 + 20
    with torch.inference_mode():
        dark, bright = bottom(crops), bottom(crops * 1.5 + 10)
    torch.testing.assert_close(dark.middle, bright.middle, atol=1e-2, rtol=1e-2)
    assert (bright.light > dark.light).all()


def test_a_run_learns_and_leaves_its_net(tmp_path: Path) -> None:
    data, seen = faces(), inputs()
    plan = Plan(2, 12, 1e-3, slow="tuned")
    result = train_weight(data, seen, tmp_path, "trunk", plan, lambda *_: None, 100.0)
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


def test_directions_that_hardly_vary_are_coded_too() -> None:
    chance = torch.Generator().manual_seed(1)
    sizes = torch.cat([torch.full((40,), 0.1), torch.full((88,), 0.01)])
    features = torch.randn(400, 128, generator=chance) * sizes
    net = identity_net(SHAPES["paper"])
    start_at_klt(net, features.numpy())
    with torch.no_grad():
        plain = net.coder.analyse(features).std(dim=0)
        _refine_steps(net, features)
        latents = net.coder.analyse(features)
        again = net.coder.synthesise(latents)
    assert float(plain.min()) < FINEST
    assert float(latents.std(dim=0).min()) > 0.99 * FINEST
    torch.testing.assert_close(again, features, atol=1e-4, rtol=1e-3)


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
