"""norfair, imported without what it imports in vain."""

import sys
from types import ModuleType

_UNUSED = "filterpy.kalman"


def _import_norfair() -> None:
    """Nothing; norfair is imported. It names filterpy's Kalman filter as one that could be chosen; ours is its own.
    With filterpy come scipy's statistics, most of the seconds that a detector takes to start (`docs/decisions.md`)."""
    if _UNUSED in sys.modules or "norfair" in sys.modules:
        return
    stand_in = ModuleType(_UNUSED)
    stand_in.KalmanFilter = object  # type: ignore[attr-defined]
    sys.modules[_UNUSED] = stand_in
    try:
        import norfair  # noqa: F401
    finally:
        # Whoever wants the real one gets it.
        del sys.modules[_UNUSED]


_import_norfair()

from norfair.distances import Distance  # noqa: E402
from norfair.filter import OptimizedKalmanFilterFactory  # noqa: E402
from norfair.tracker import Detection as Candidate  # noqa: E402
from norfair.tracker import TrackedObject, Tracker  # noqa: E402

__all__ = ["Candidate", "Distance", "OptimizedKalmanFilterFactory", "TrackedObject", "Tracker"]
