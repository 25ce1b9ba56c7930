"""What goes down the line of live cameras: detect -> encode -> archive, and from the supervisor to the archive.

Each message says whose it is: a stage that was started anew knows of no session.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pipelines.messages import Session
from streamproc.types import CodedTrack, GapReason, SourceResult, Track

if TYPE_CHECKING:  # who only hands pictures on needs no database
    from storage import Rules


@dataclass(frozen=True, slots=True)
class SessionTrack:
    """A track that ended, or news of one that did not yet."""

    session: Session
    track: Track


@dataclass(frozen=True, slots=True)
class SessionCoded:
    """A track, coded with a codec."""

    session: Session
    codec_id: str
    profile: str
    track: CodedTrack


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Nothing more comes of a session; what it came to but for `archived`."""

    session: Session
    result: SourceResult


@dataclass(frozen=True, slots=True)
class ResumedNews:
    """A camera is watched again from `at` on, or for the first time."""

    camera: str
    at: datetime


@dataclass(frozen=True, slots=True)
class GapNews:
    """A camera is blind from `at` on for a reason, which `detail` explains, or, where that is None, sees again."""

    camera: str
    at: datetime
    reason: GapReason | None
    detail: str


@dataclass(frozen=True, slots=True)
class WatchedNews:
    """A camera is watched at `until`; None: nobody does any more."""

    camera: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class HiddenForgotten:
    """What a hidden camera saw in sessions that began before that time is of no use any more."""

    camera: str
    before: datetime


@dataclass(frozen=True, slots=True)
class ClearAsked:
    """What is over its time at `at`, or too much, by these rules shall go; they count from now on."""

    rules: "Rules"
    at: datetime


@dataclass(frozen=True, slots=True)
class RoomAsked:
    """It shall be looked whether there is too much at `at`, by the rules that count."""

    at: datetime
