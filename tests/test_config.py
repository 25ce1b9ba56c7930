"""The settings, their file, and what is said when they are wrong."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from streamproc import config
from streamproc.errors import ConfigError

DEFAULTS = Path(__file__).parents[1] / "configs" / "default.yaml"


def _file(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_default_file_is_the_defaults() -> None:
    """It holds every key with the model's own value, and says something of each."""
    content = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))
    assert content == config.Settings().model_dump(mode="json")
    assert config.load(DEFAULTS) == config.Settings()
    for line in DEFAULTS.read_text(encoding="utf-8").splitlines():
        if re.match(r"  \w+:", line):
            assert "  # " in line, f"no comment: {line}"


def test_differences_alone(tmp_path: Path) -> None:
    settings = config.load(_file(tmp_path, "detect: {min_face: 60}\nencode: {quality: null}"))
    assert settings.detect.min_face == 60
    assert settings.encode.quality is None
    assert settings.capture == config.CaptureSettings()
    assert config.load(_file(tmp_path, "# nothing")) == config.load(None) == config.Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("detect: {min_fase: 60}", r'no key "detect.min_fase", the nearest is "detect.min_face"'),
        ("detekt: {min_face: 60}", r'no key "detekt", the nearest is "detect"'),
        ("detect: {min_face: 3}", r"detect.min_face: input should be greater than or equal to 20"),
        ("detect: {min_face: many}", r"detect.min_face: input should be a valid integer"),
        ("encode: {enhancement: webp}", r"encode.enhancement: .*'learned', 'jpeg', 'jpeg2000' or 'hevc'"),
        ("[1, 2]", r"the whole: "),
        ("a: [", r"cannot be read"),
    ],
)
def test_wrong_files(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        config.load(_file(tmp_path, text))
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read"):
        config.load(tmp_path / "none.yaml")


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        config.Settings().search.top = 5


def test_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMPROC_CACHE", str(tmp_path))
    assert config.cache_dir() == tmp_path
    monkeypatch.delenv("STREAMPROC_CACHE")
    assert config.cache_dir().name == "streamproc"
