"""norfair, imported without what it imports in vain."""

import sys
from types import ModuleType

_UNUSED = {"filterpy.kalman": "KalmanFilter", "scipy.spatial.distance": "cdist"}
"""What norfair imports for choices that are not taken here, by the modules that bring it: our filter is its own, our
distance ours. With them comes most of scipy, and most of the seconds that a detector takes to start
(`docs/decisions.md`)."""


def _import_norfair() -> None:
    """Nothing; norfair is imported."""
    if "norfair" in sys.modules:
        return
    stand_ins = {name: ModuleType(name) for name in _UNUSED if name not in sys.modules}
    for name, module in stand_ins.items():
        setattr(module, _UNUSED[name], object)
    sys.modules.update(stand_ins)
    try:
        import norfair  # noqa: F401
    finally:
        # Whoever wants the real ones gets them.
        for name in stand_ins:
            del sys.modules[name]


_import_norfair()

from norfair.distances import Distance  # noqa: E402
from norfair.filter import OptimizedKalmanFilterFactory  # noqa: E402
from norfair.tracker import Detection as Candidate  # noqa: E402
from norfair.tracker import TrackedObject, Tracker  # noqa: E402

__all__ = ["Candidate", "Distance", "OptimizedKalmanFilterFactory", "TrackedObject", "Tracker"]
