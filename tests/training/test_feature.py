"""The identity coder that a further training keeps."""

from pathlib import Path

import numpy as np
import pytest
import torch

from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.weights import load_weights
from streamproc.errors import WeightsError
from streamproc.training.feature import KeptIdentity, decoded_features, trained_identity


def test_the_kept_coder_decodes_what_the_codec_does(tmp_path: Path) -> None:
    kept = trained_identity(tmp_path, load_weights("default"))
    assert isinstance(kept, KeptIdentity)
    base = FaceCodec.load("default").base
    raw = base.drawn_features(12)
    crops = np.full((12, 256, 256, 3), 128, np.uint8)
    shown = decoded_features(kept, torch.from_numpy(raw)).numpy()
    coded = base.features(base.encode(crops, raw))
    cosines = (shown * coded).sum(axis=1) / np.linalg.norm(shown, axis=1) / np.linalg.norm(coded, axis=1)
    # Every trellis begins in one state, and the codec runs on from identity into appearance: near, not the same.
    assert cosines.min() > 0.95
    assert (1 - cosines < 1e-5).mean() > 0.5


def test_its_tables_are_its_entropy_model() -> None:
    kept = KeptIdentity(load_weights("default"))
    shares = kept.expected()
    latents = kept.coder.linear_in.out_features
    assert shares.shape == (latents * kept.trellis.turns, 41)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares > 0).all()


def test_without_a_run_and_without_weights_there_is_no_coder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="run `train feature` first"):
        trained_identity(tmp_path)
