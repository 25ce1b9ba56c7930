"""`bench best-shot` with the real finder, ingest and codec, on two people."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.samples import sample
from streamproc.media.photo import read_photo

KEYS = {"size_px", "speed", "exposure_ms", "blur", "passes", "archived", "right", "usable", "sure", "doubles", "false",
        "mixed"}  # fmt: skip


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, one of them with another photo: the same, smaller and darker."""
    folder = tmp_path_factory.mktemp("faces")
    man, woman = (read_photo(sample(name)) for name in ("single_face.jpg", "0-f15-hao-ph.jpg"))
    Picture.fromarray(woman).save(folder / "woman.png")
    Picture.fromarray(man).save(folder / "man_a.png")
    dark = Picture.fromarray((man * 0.8).astype(np.uint8))
    dark.resize((man.shape[1] * 2 // 3, man.shape[0] * 2 // 3)).save(folder / "man_b.png")
    return folder


def test_rows_and_sheets(faces: Path, tmp_path: Path) -> None:
    grid = ["--size", "90", "--speed", "800", "--exposure", "2", "--exposure", "40", "--limit", "2"]
    command = ["bench", "best-shot", "--portraits", str(faces), "--out", str(tmp_path), "--json", *grid]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    sharp, smeared = document["rows"]
    assert set(sharp) == set(smeared) == KEYS
    assert (sharp["size_px"], sharp["speed"], sharp["exposure_ms"], sharp["blur"]) == (90, 800, 2, 1.6)
    assert (sharp["passes"], sharp["archived"], sharp["right"]) == (2, 2, 2)
    assert smeared["blur"] == 32
    assert smeared["usable"] <= sharp["usable"]
    assert (document["people"], document["usable_from"]) == (2, document["sure_from"]), "too few strangers"
    (sheet,) = document["sheets"]
    assert np.array(Picture.open(sheet)).std() > 10


def test_a_folder_without_portraits(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["bench", "best-shot", "--portraits", str(tmp_path)])
    assert result.exit_code == 1
    assert "holds no picture" in " ".join(result.stderr.split())
