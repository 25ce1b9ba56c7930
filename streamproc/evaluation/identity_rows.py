"""What `evaluate identities` comes to."""

from dataclasses import dataclass
from pathlib import Path

from streamproc.evaluation.identity_scores import CalibrationBin


@dataclass(frozen=True, slots=True)
class GatheringRow:
    """Identities after a step: how many, B-cubed of the tracks, and pairs of faces of one frame in one identity."""

    step: str
    identities: int
    precision: float
    recall: float
    f1: float
    together: int


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """Questions before some cameras: of people who were there, how many were not found (`missed`) and for how many
    another one was taken (`mistaken`); of those who were not, for how many somebody was (`false_alarms`)."""

    cameras: str
    there: int
    missed: int
    mistaken: int
    never_there: int
    false_alarms: int


@dataclass(frozen=True, slots=True)
class IdentityResult:
    """The figures: people, tracks that show one of them and all tracks, the expected calibration error of the best
    answers, rows and bins; the page."""

    people: int
    passes: int
    tracks: int
    calibration_error: float
    gathering: tuple[GatheringRow, ...]
    verdicts: tuple[VerdictRow, ...]
    calibration: tuple[CalibrationBin, ...]
    codec_id: str
    page: Path
