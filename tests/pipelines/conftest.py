"""What the pipelines' tests share: small clips made here, and settings that load no real codec."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from safetensors.numpy import save_file

from pipelines import batch
from streamproc.config import CaptureSettings, EncodeSettings, Settings, SupervisorSettings

FAKES = batch.Entries(detect="fake_stages:find", encode="fake_stages:code")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weights file that states the fake codec's id."""
    path = tmp_path / "fake.safetensors"
    save_file({"nothing": np.zeros(1, np.float32)}, path, {"codec_id": "fake", "profile": "fake"})
    return path


@pytest.fixture
def settings(weights: Path) -> Settings:
    return Settings(
        encode=EncodeSettings(profile=str(weights)),
        capture=CaptureSettings(max_rate=30.0, motion=False),  # brightness tells its story
        supervisor=SupervisorSettings(silence=60.0),
    )


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Makes a clip whose brightness is its story: above 40 there is a face, at 0 there is none."""

    def make(name: str = "clip.mp4", story: str = "111111000000000000000000111111", size: int = 64) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            for position, what in enumerate(story):
                # Of its own in each clip: equal pictures have equal codes, and those share a crop.
                level = 0 if what == "0" else 80 + 3 * (position % 50) + sum(name.encode()) % 20
                picture = np.full((size, size, 3), level, np.uint8)
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        return path

    return make
