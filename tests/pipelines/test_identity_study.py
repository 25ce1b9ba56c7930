"""`evaluate identities` with the real finder, ingest and codec, on two people."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.samples import sample
from streamproc.media.photo import read_photo


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, a darker photo of each."""
    folder = tmp_path_factory.mktemp("faces")
    for name, photo in (("man", "single_face.jpg"), ("woman", "0-f15-hao-ph.jpg")):
        picture = read_photo(sample(photo))
        Picture.fromarray(picture).save(folder / f"{name}_a.png")
        Picture.fromarray((picture * 0.7).astype(np.uint8)).save(folder / f"{name}_b.png")
    return folder


def test_two_people_are_two_identities(faces: Path, tmp_path: Path) -> None:
    command = ["evaluate", "identities", "--data", str(faces), "--work", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["people"], document["passes"]) == (2, 8)
    assert document["tracks"] >= 7
    online, consolidated = document["gathering"]
    assert (online["identities"], online["together"]) == (2, 0)
    assert online["f1"] == consolidated["f1"] == 1
    asked = document["verdicts"][-1]
    assert asked["there"] >= 10
    assert asked["never_there"] >= asked["there"]
    assert (asked["missed"], asked["mistaken"], asked["false_alarms"]) == (0, 0, 0)
    assert sum(one["answers"] for one in document["calibration"]) == asked["there"] + asked["never_there"]
    assert document["calibration_error"] < 0.1
    assert Path(document["page"]).read_text().count("data:image/png;base64,") == 1
