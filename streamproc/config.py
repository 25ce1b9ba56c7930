"""The settings: one frozen model a room, read once from YAML; and the folder for what is fetched.

`configs/default.yaml` shows every key with its default and its unit; a file of one's own holds the differences alone.
"""

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args

import platformdirs
import yaml
from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from streamproc.errors import ConfigError
from streamproc.types import EnhancementCodec, Polygon, Transport

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Side = Annotated[float, Field(ge=0, le=1)]
"""A place along a picture's side, 0 to 1."""
Size = Annotated[ByteSize, Field(gt=0)]
"""A number of bytes, or a text like "20 GB" or "1.5 GiB"."""


def _has_area(corners: Polygon) -> Polygon:
    pairs = zip(corners, corners[1:] + corners[:1], strict=True)
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs) / 2
    if corners and (len(corners) < 3 or abs(area) < 1e-6):
        raise PydanticCustomError(
            "outline", "a region needs three corners [x, y] or more that enclose something, in shares 0 to 1"
        )
    return corners


Outline = Annotated[
    tuple[Annotated[tuple[Side, Side], Field(strict=False)], ...], Field(strict=False), AfterValidator(_has_area)
]
"""A region's corners."""


class Section(BaseModel):
    """A part of the settings: cannot be changed, knows no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CaptureSettings(Section):
    """Reading the sources."""

    at_once: Count = 2
    """Sources read at the same time."""
    max_rate: Annotated[float, Field(gt=0)] = 6.0
    """Frames a second of stream time that are searched for faces, at most."""
    motion: bool = True
    """Whether fewer are searched while nothing moves: 2 a second of a file, the rates below of a live camera."""
    search_rate: Annotated[float, Field(gt=0)] = 3.0
    """Of a live camera, while something moves and no face is in view."""
    idle_rate: Annotated[float, Field(gt=0)] = 0.5
    """Of a live camera, while nothing moves."""
    slots: Annotated[int, Field(ge=2, le=64)] = 6
    """Frames of a source that may wait in shared memory."""
    hardware: Annotated[str, Field(min_length=1)] = "none"
    """What decodes: none (software), auto, or a device type of FFmpeg's, such as cuda or vaapi."""


class DetectSettings(Section):
    """Finding faces and following them."""

    device: str = "auto"
    """Where the nets run: auto, cpu, cuda."""
    yunet: str | None = None
    """OpenCV Zoo's face_detection_yunet .onnx file, to find faces in MTCNN's place; null: MTCNN."""
    min_face: Annotated[int, Field(ge=20)] = 40
    """Shortest side of a face worth finding, pixels."""
    batch: Count = 4
    """Frames searched in one go when so many are waiting."""
    threads: Count = 2
    """CPU threads of the process."""
    shots: Count = 3
    """Best pictures kept of a track."""
    min_detections: Count = 3
    """Detections without which a track is taken for an error."""


class EncodeSettings(Section):
    """Coding the faces."""

    device: str = "auto"
    """Where the nets run: auto, cpu, cuda."""
    profile: str = "default"
    """The codec's weights: a profile's name or a .safetensors file."""
    enhancement: EnhancementCodec = "learned"
    """What writes the enhancement layer; all four are read, whichever is chosen."""
    quality: int | None = 2
    """Rate point of the enhancement layer; null keeps the base layer alone."""
    unsmear: bool = True
    """Take motion smear back before the feature is told from a passing face; what is shown stays as it was seen."""
    batch: Count = 16
    """Faces coded in one go when so many are waiting."""
    threads: Count = 2
    """CPU threads of the process."""


class SupervisorSettings(Section):
    """Watching over the processes."""

    silence: Seconds = 300.0
    """Seconds without a sign of life after which a stage counts as hung."""
    stop: Seconds = 10.0
    """Seconds that the archive's writer gets to finish its transaction when all stops."""


class CameraRetention(Section):
    """What is taken out of the archive of a camera; keys that are not given are as for all."""

    enhancement_days: Annotated[float, Field(gt=0)] | None = None
    """Days after which a face's picture goes; search needs none. null: never."""
    faces_days: Annotated[float, Field(gt=0)] | None = None
    """Days after which a track goes with all that is known of it; null: never."""
    bytes: Size | None = None
    """Bytes of layers that its faces may have, like "2 GB"; null: any. What goes then: as for the archive."""


class RetentionSettings(Section):
    """What is taken out of the archive, once a day and when there is too much. Named, watched and held tracks stay."""

    enhancement_days: Annotated[float, Field(gt=0)] | None = None
    """Days after which a face's picture goes; search needs none. null: never."""
    faces_days: Annotated[float, Field(gt=0)] | None = None
    """Days after which a track goes with all that is known of it; null: never."""
    bytes: Size | None = None
    """Bytes that the archive may use, like "20 GB": the oldest pictures go first, then the oldest tracks; null: any."""
    free: Size | None = None
    """Bytes of its disk that are to stay free, like "5 GB": below, the same goes, and it is logged; null: none."""


class CameraSettings(Section):
    """A live camera."""

    name: Annotated[str, Field(min_length=1)]
    """What the archive calls it."""
    uri: Annotated[str, Field(min_length=1)]
    """Its address; ${NAME} in it stands for what the environment or the file of secrets has under that name."""
    transport: Transport = "tcp"
    """What RTSP comes over."""
    hours: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """When it records, like "mon-fri 07:00-19:00" or "sat 22:00-02:00"; none: always."""
    roi: Annotated[Outline, Field(strict=False)] = ()
    """Corners [x, y] of the region in which faces count, in shares of the picture's sides; none: all of it."""
    masks: Annotated[tuple[Annotated[Outline, Field(min_length=3)], ...], Field(strict=False)] = ()
    """Regions of the same form that are painted black before anything else sees the picture."""
    retention: CameraRetention = CameraRetention()
    """How long it is kept, where that is not as for all."""


class ServiceSettings(Section):
    """Watching live cameras."""

    archive: str | None = None
    """The archive's database URL or file; --archive goes before it."""
    secrets: str | None = None
    """A YAML file of names and values for ${NAME} in cameras' addresses."""
    silent: Seconds = 4.0
    """Seconds without a frame after which a camera counts as silent; FFmpeg's RTSP may take twice as long to say so."""
    frozen: Seconds = 30.0
    """Seconds that a picture may stand still."""
    black: Seconds = 10.0
    """Seconds that a picture may be black."""
    retry: Seconds = 3.0
    """Longest time between two attempts to reach a camera, seconds; they never end."""
    log: Literal["text", "json"] = "text"
    """What a line of the log is: a sentence, or a JSON object."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged: events of this level and above."""
    metrics_host: str = "127.0.0.1"
    """Where /metrics and /healthz answer: this machine alone, or 0.0.0.0 for all."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = 9180
    """Their port; null: they do not."""
    timezone: str | None = None
    """IANA name of the zone that hours are given in; null: the machine's."""
    check: Annotated[float, Field(ge=10)] | None = 300.0
    """Seconds between two known faces sent through the whole path; null: none is, and health does not ask for it."""
    identities: bool = True
    """Gather tracks into identities as they are archived, and tell of who is watched for."""
    statistics: Annotated[float, Field(ge=1)] | None = 3600.0
    """Seconds between two lines of statistics a camera in the log; null: none."""


class SearchSettings(Section):
    """Asking the archive."""

    top: Count = 10
    """Answers given at most."""
    false_alarms: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Of people who were never there, the share for whom the verdict may be a match."""


class Settings(Section):
    """All sections; each room is handed its own."""

    capture: CaptureSettings = CaptureSettings()
    detect: DetectSettings = DetectSettings()
    encode: EncodeSettings = EncodeSettings()
    supervisor: SupervisorSettings = SupervisorSettings()
    service: ServiceSettings = ServiceSettings()
    retention: RetentionSettings = RetentionSettings()
    cameras: Annotated[tuple[CameraSettings, ...], Field(strict=False)] = ()
    search: SearchSettings = SearchSettings()


def load(path: Path | None = None) -> Settings:
    """The settings of a YAML file, defaults for what it leaves out; the defaults alone without a file.

    Raises ConfigError with the key's dotted path when a key is unknown or a value is wrong.
    """
    if path is None:
        return Settings()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"The configuration {path} cannot be read: {' '.join(str(error).split())}") from error
    try:
        return Settings.model_validate({} if content is None else content)
    except ValidationError as error:
        raise ConfigError(f"The configuration {path} cannot be used: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    """One sentence on the first thing that is wrong; a key that does not exist before one that is missing for it."""
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{key or 'the whole'}: {first['msg'][0].lower()}{first['msg'][1:]}."
    name = ".".join(part for part in first["loc"] if isinstance(part, str))
    near = difflib.get_close_matches(name, sorted(keys(Settings)), n=1, cutoff=0)
    return f'there is no key "{key}", the nearest is "{near[0]}".'


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of a model's keys, sections included."""
    for name, field in model.model_fields.items():
        yield prefix + name
        # A section, or a list of sections.
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys(kind, f"{prefix}{name}.")


def cache_dir() -> Path:
    """The folder for weights and samples that were fetched: STREAMPROC_CACHE, or the user's cache folder.

    The user's, not the working folder's: what took minutes to fetch is then there for every checkout and every archive.
    """
    return Path(os.environ.get("STREAMPROC_CACHE") or platformdirs.user_cache_dir("streamproc"))
