"""What a source tells of itself while it goes on, for a log."""

from dataclasses import dataclass
from enum import Enum, auto


class About(Enum):
    """What a notice is about."""

    CLOCK = auto()
    HARDWARE = auto()
    SIZE = auto()


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth a line, after the camera's name and a colon: `text` is half a sentence without credentials."""

    about: About
    text: str
