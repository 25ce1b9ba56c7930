"""Names of the hyperprior without a base layer: for those who compare with it and do not train."""

from pathlib import Path

ALONE = "residual-alone"
"""The residual net on the faces themselves."""


def alone_path(work: Path) -> Path:
    """Where its exported weights lie."""
    return work / ALONE / "alone.safetensors"
