"""Questions to an archive: who is this, what did they look like."""

from streamproc.query.gaps import Blindness, blindness, length_within, merged
from streamproc.query.photo import ask_photo
from streamproc.query.reader import ArchiveReader
from streamproc.query.reconstruct import Reconstructor
from streamproc.query.search import SearchResult, search

__all__ = [
    "ArchiveReader",
    "Blindness",
    "Reconstructor",
    "SearchResult",
    "ask_photo",
    "blindness",
    "length_within",
    "merged",
    "search",
]
