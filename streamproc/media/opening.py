"""Opening a source with FFmpeg, and the sentence that says why it could not be."""

import struct
import time
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from streamproc.errors import NotVideo, SourceError, SourceNotFound, SourceStalled
from streamproc.media.naming import device_path, is_url, redact
from streamproc.types import Transport

_UNREACHABLE = (OSError, av.error.HTTPNotFoundError, av.error.ProtocolNotFoundError, av.error.DemuxerNotFoundError)
_REFUSED = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError, av.error.PermissionError)
_LATE = (av.error.ExitError, av.error.TimeoutError)
_NO_PICTURES = {"tty"}  # FFmpeg draws text files as if on a terminal


def open_container(
    uri: str, timeout: float, transport: Transport = "tcp", hardware: HWAccel | None = None
) -> InputContainer:
    """The opened container of a file, URL or device; its streams are not chosen yet.

    `timeout`: seconds that a URL or device may take to open, and then to give each packet; `transport` of RTSP: over
    UDP a lost packet is a damaged picture; `hardware` decodes what it can.

    Raises SourceNotFound, NotVideo, SourceStalled, or SourceError; their words and causes never hold a URL's password.
    """
    device = device_path(uri)
    began = time.monotonic()
    try:
        if device is not None:
            return av.open(device, "r", format="v4l2", timeout=timeout, hwaccel=hardware)
        if is_url(uri):
            options = _url_options(uri, timeout, transport)
            return av.open(uri, "r", options=options, timeout=timeout, hwaccel=hardware)
        return av.open(f"file:{uri}", "r", hwaccel=hardware)  # or else a colon in a file's name would end a protocol's
    except av.error.FFmpegError as error:
        failure = error
    # FFmpeg calls the answer of a camera that hung half-way through the handshake "invalid data".
    late = isinstance(failure, _LATE) or (is_url(uri) and time.monotonic() - began >= timeout)
    raise (_too_late(uri) if late else _refusal(uri, failure)) from cleaned(failure)


def is_rtsp(uri: str) -> bool:
    """True for `rtsp://...`, whose pictures come as fast as they are shown."""
    return uri.lower().startswith(("rtsp://", "rtsps://"))


def video_stream(container: InputContainer, uri: str) -> VideoStream:
    """The container's largest video stream; a cover picture is none.

    Raises NotVideo.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if container.format.name in _NO_PICTURES:
        raise NotVideo(f"'{redact(uri)}' is a text file, not a video: give a video or a picture.")
    if not streams:
        raise NotVideo(f"'{redact(uri)}' holds no video stream, only {_kinds(container)}: give a video or a picture.")
    return max(streams, key=lambda stream: stream.codec_context.width * stream.codec_context.height)


def lost(uri: str, error: av.error.FFmpegError) -> SourceError:
    """The error for a source that FFmpeg could not go on reading."""
    name = redact(uri)
    if isinstance(error, _LATE):
        return SourceStalled(f"'{name}' stopped giving frames: check the camera and the network, then start again.")
    return SourceError(f"'{name}' cannot be read any further: {error.strerror}.")


def cleaned(error: av.error.FFmpegError) -> av.error.FFmpegError:
    """The same error without the credentials of the URL that FFmpeg repeats in it."""
    return av.error.FFmpegError(error.errno or 0, error.strerror or "unknown error", redact(str(error.filename)))


def _url_options(uri: str, timeout: float, transport: Transport) -> dict[str, str]:
    # Microseconds, of the socket itself; and no frames read ahead to guess a rate from, a second and more of them.
    options = {"timeout": str(round(timeout * 1_000_000)), "fpsprobesize": "0"}
    if is_rtsp(uri):
        options["rtsp_transport"] = transport
    return options


def _too_late(uri: str) -> SourceStalled:
    return SourceStalled(f"'{redact(uri)}' did not answer in time: check the camera and its address.")


def _refusal(uri: str, error: av.error.FFmpegError) -> SourceError:
    name, reason = redact(uri), error.strerror
    if isinstance(error, _REFUSED):
        return SourceError(f"'{name}' may not be opened ({reason}): check the user name, password and permissions.")
    if is_url(uri):
        return _remote_refusal(name, error)
    if isinstance(error, av.error.FileNotFoundError):
        if device := device_path(uri):
            return SourceNotFound(f"There is no camera '{name}' ({device}): check that it is plugged in.")
        return SourceNotFound(f"'{name}' does not exist: check its name.")
    if isinstance(error, av.error.InvalidDataError) and device_path(uri) is None:
        return _unreadable_file(Path(uri), name)
    return SourceError(f"'{name}' cannot be opened: {reason}.")


def _remote_refusal(name: str, error: av.error.FFmpegError) -> SourceError:
    if isinstance(error, _UNREACHABLE):
        return SourceNotFound(f"'{name}' cannot be reached ({error.strerror}): check the address and the camera.")
    return NotVideo(f"'{name}' answers, but not with a video ({error.strerror}): check the address's path.")


def _unreadable_file(path: Path, name: str) -> NotVideo:
    if path.stat().st_size == 0:
        return NotVideo(f"'{name}' is empty: it was never written, or its copy failed.")
    if _lacks_index(path):
        return NotVideo(
            f"'{name}' was cut before its index was written (an MP4 without a 'moov' box), so none of it can be read: "
            "copy it again, or repair it with the recorder's own tool."
        )
    return NotVideo(f"'{name}' is not a video or picture in any format known here, or its beginning is damaged.")


def _lacks_index(path: Path) -> bool:
    """True for an MP4 or MOV whose top-level boxes do not hold a 'moov' (ISO/IEC 14496-12, section 8.2.1)."""
    kinds: list[bytes] = []
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8 and len(kinds) < 1000:
            size, kind = struct.unpack(">I4s", header)
            kinds.append(kind)
            if kinds[0] != b"ftyp":
                return False
            taken = 8
            if size == 1:
                size, taken = int.from_bytes(file.read(8), "big"), 16
            if size < taken:  # 0: the box runs to the end of the file
                break
            file.seek(size - taken, 1)
    return bool(kinds) and b"moov" not in kinds


def _kinds(container: InputContainer) -> str:
    kinds = sorted({stream.type for stream in container.streams})
    return " and ".join(kinds) if kinds else "unknown data"
