"""Sources by name: which ones were asked for, a camera's default name, a file's hash, a URL without its secrets."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from streamproc.errors import SourceNotFound

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".asf", ".avi", ".dav", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
})
# fmt: on
"""Suffixes that are taken for videos when a folder is expanded."""

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""Suffixes of pictures, each a source of one frame."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")
_SECRET = re.compile(r"(?i)([?&;](?:user|username|usr|login|password|passwd|pwd|pass|token|auth|key|secret)=)[^&;#\s]*")


def is_url(source: str) -> bool:
    """True for `rtsp://...`, `http://...` and their like."""
    return _URL.match(source) is not None


def device_path(source: str) -> str | None:
    """The device file of a camera plugged into this machine (`"0"` or `"/dev/video0"`), or None for anything else."""
    if source.isascii() and source.isdigit():
        return f"/dev/video{int(source)}"
    return source if re.fullmatch(r"/dev/video\d+", source) else None


def is_picture(source: str) -> bool:
    """True for the name of a picture file, a source of one frame."""
    return not is_url(source) and Path(source).suffix.lower() in PICTURE_SUFFIXES


def redact(text: str) -> str:
    """`text`, a URL or a message that repeats one, without user names, passwords and tokens."""
    return _SECRET.sub(r"\1***", _USERINFO.sub("", text))


def expand(sources: Sequence[str]) -> list[str]:
    """The single sources that `sources` stand for, in order, each once.

    A folder stands for the videos below it, sorted (for its pictures where it holds no video); hidden files are passed
    over. Files, URLs and device numbers stand for themselves.

    Raises SourceNotFound, naming what is missing or the folder that holds nothing.
    """
    return list(dict.fromkeys(single for source in sources for single in _expand_one(source)))


def _expand_one(source: str) -> Iterator[str]:
    path = Path(source)
    if is_url(source) or device_path(source):
        yield source
    elif path.is_dir():
        yield from _folder(path)
    elif path.exists():
        yield source
    else:
        raise SourceNotFound(f"'{source}' does not exist: give a file, a folder, a URL or a device number.")


def _folder(folder: Path) -> list[str]:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    for suffixes in (VIDEO_SUFFIXES, PICTURE_SUFFIXES):
        if found := [str(path) for path in files if path.suffix.lower() in suffixes]:
            return found
    raise SourceNotFound(f"The folder '{folder}' holds no video and no picture: give one that does, or name a file.")


def default_camera(source: str) -> str:
    """A camera's name for a source that was given none: a file's stem, a URL's host, `device-0`."""
    if device := device_path(source):
        return f"device-{device.removeprefix('/dev/video')}"
    if is_url(source):
        return urlsplit(redact(source)).hostname or "stream"
    return Path(source).stem or source


def content_hash(path: str) -> str:
    """SHA-256 of a file's bytes, hexadecimal: the same video under another name has the same one.

    Raises SourceNotFound.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceNotFound(f"'{path}' cannot be read: {error.strerror}.") from error
