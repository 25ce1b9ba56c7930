"""The compressed search index: faces in at most 96 bytes each, found by their features in milliseconds.

It knows no database and no codec: it is fed keys, tracks, cameras, times and features, and gives keys back.
"""

from storage.index.basis import live_basis
from storage.index.question import Hits
from storage.index.vector_index import VectorIndex

__all__ = ["Hits", "VectorIndex", "live_basis"]
