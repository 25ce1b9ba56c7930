"""streamproc: finds faces in video, codes each into an identity of some 40 bytes and a picture, and finds them again.

`FaceFinder` and `FaceCodec` load torch when they are first asked for, so that `import streamproc` stays quick.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamproc.codec.face_codec import FaceCodec
    from streamproc.faces.finder import FaceFinder

__all__ = ["FaceCodec", "FaceFinder"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The two doors, imported when asked for."""
    if name == "FaceCodec":
        from streamproc.codec.face_codec import FaceCodec

        return FaceCodec
    if name == "FaceFinder":
        from streamproc.faces.finder import FaceFinder

        return FaceFinder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
