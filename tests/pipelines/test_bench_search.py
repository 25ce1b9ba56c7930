"""`bench search`: faces that are drawn alike, what is right about them, and engines behind the same calls."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from pipelines.bench.drawn_faces import BLOCK, Crowd, measured_spread
from pipelines.bench.search import measured, truth
from pipelines.cli.app import app

FACES = 3000


def test_drawn_faces_follow_from_their_seed() -> None:
    """And lie as real ones do: looks of one person are alike, strangers are not."""
    crowd = Crowd(measured_spread(), FACES, 5, 1)
    features = crowd.features(0, FACES)
    assert features.shape == (FACES, 128)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert np.array_equal(features, Crowd(measured_spread(), FACES, 5, 1).features(0, FACES))
    assert not np.array_equal(features, Crowd(measured_spread(), FACES, 5, 2).features(0, FACES))
    products = features @ features.T
    same = crowd.who[:, None] == crowd.who
    own = products[same & ~np.eye(FACES, dtype=bool)]
    assert 0.6 < own.mean() < 0.8
    assert abs(products[~same].mean()) < 0.1
    assert BLOCK >= FACES  # one block here


def test_engines_are_asked_about_the_same_faces() -> None:
    """The index finds what comparing all finds; comparing all is always right, and both mind the filter."""
    right = truth(FACES)
    pytest.importorskip("faiss")
    for name, least in (("streamproc", 0.98), ("faiss-flat", 1.0), ("faiss-fast-scan-64", 0.98)):
        every, kept = measured(name, FACES, right)
        assert (every.engine, every.faces, every.filter, every.asked) == (name, FACES, 1.0, len(right.questions))
        assert 0 < kept.filter < 0.02
        assert min(every.recall_at_10, kept.recall_at_10) >= least
        assert 0 < every.p50_ms <= every.p99_ms


def test_rows_are_as_the_doors_say() -> None:
    run = CliRunner().invoke(app, ["bench", "search", "--faces", "1000", "--engines", "streamproc", "--json"])
    rows = json.loads(run.stdout)["rows"]
    assert {"engine", "faces", "filter", "build_s", "bytes_per_face", "p50_ms", "p99_ms", "recall_at_10"} <= set(
        rows[0]
    )
    assert [row["engine"] for row in rows] == ["streamproc"] * 2


def test_an_unknown_engine_is_asked_wrongly() -> None:
    run = CliRunner().invoke(app, ["bench", "search", "--engines", "guess"])
    assert run.exit_code == 2
    assert "faiss-flat" in run.stderr


def test_a_missing_peer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    run = CliRunner().invoke(app, ["bench", "search", "--faces", "1000", "--engines", "usearch"])
    assert run.exit_code == 1
    assert "streamproc[peers]" in run.stderr
