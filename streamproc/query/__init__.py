"""Questions to an archive: who is this, what did they look like."""

from streamproc.query.photo import ask_photo
from streamproc.query.reader import ArchiveReader
from streamproc.query.reconstruct import Reconstructor
from streamproc.query.search import SearchResult, search

__all__ = ["ArchiveReader", "Reconstructor", "SearchResult", "ask_photo", "search"]
