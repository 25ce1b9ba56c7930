"""What the service says while it runs: events, written as a plain line for people or as one JSON object a line.

Whoever has something to say hands an `Event` to the log it was given; only the supervisor's process has one. What
children have to say comes to it as messages, and as their last words.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, TextIO, TypeAlias

from streamproc.media.naming import redact
from streamproc.types import GapReason

LogForm: TypeAlias = Literal["text", "json"]


class Level(StrEnum):
    """How much an event matters, least first."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    """Something does not work, and will come back by itself or when somebody sees to a camera."""
    ERROR = "error"
    """Faces are lost, or soon will be, until somebody does something."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: `name` for programs (docs/operations.md lists them), `text` for people, and what it
    concerns; `seconds` is how long it took or lasted, `figures` are counts by name. As a string it is its text."""

    name: str
    text: str
    level: Level = Level.INFO
    camera: str | None = None
    stage: str | None = None
    reason: str | None = None
    detail: str | None = None
    seconds: float | None = None
    figures: Mapping[str, float] | None = None
    track: str | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __str__(self) -> str:
        return self.text


Log: TypeAlias = Callable[[Event], None]


def plain(event: Event) -> str:
    """One line for people, without credentials."""
    return f"{event.at:%Y-%m-%d %H:%M:%SZ} {redact(' '.join(event.text.split()))}"


def as_json(event: Event) -> str:
    """One JSON object on one line, without credentials: `time` (ISO 8601, UTC), `level`, `event`, `message`, and of the
    other fields those that say something."""
    document: dict[str, Any] = {
        "time": event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": event.level.value,
        "event": event.name,
        "message": redact(event.text),
    }
    for name in ("camera", "stage", "reason", "detail", "track"):
        if (text := getattr(event, name)) is not None:
            document[name] = redact(text)
    if event.seconds is not None:
        document["seconds"] = round(event.seconds, 3)
    if event.figures is not None:
        document["figures"] = dict(event.figures)
    return json.dumps(document, ensure_ascii=False)


def log_to(stream: TextIO, form: LogForm, least: str) -> Log:
    """A log that writes events from the level `least` on to `stream`. One that cannot be written to ends nobody."""
    render = as_json if form == "json" else plain
    levels = list(Level)
    threshold = levels.index(Level(least))

    def log(event: Event) -> None:
        if levels.index(event.level) < threshold:
            return
        try:
            stream.write(f"{render(event)}\n")
            stream.flush()
        except (OSError, ValueError):  # its disk is full, or who read it is gone
            return

    return log


def camera_event(camera: str, reason: GapReason | None, detail: str, seconds: float | None) -> Event:
    """A camera sees again, or does not for a `reason`; `seconds`: how long it had been as it was before."""
    if reason is None:
        return Event("camera_live", f"{camera}: live", camera=camera, seconds=seconds)
    expected = reason in (GapReason.CLOSED, GapReason.STOPPED)
    return Event(
        "camera_blind",
        f"{camera}: {reason.value}: {detail}",
        Level.INFO if expected else Level.WARNING,
        camera=camera,
        reason=reason.value,
        detail=detail,
        seconds=seconds,
    )
