"""The errors that streamproc raises, all from one tree.

    StreamprocError
    +-- ConfigError           a configuration that cannot be used: unknown key, wrong value
    +-- SourceError           a video or picture that cannot be read
    |   +-- SourceNotFound    nothing is there under that name
    |   +-- NotVideo          something is there, but it is no video, no picture, or it is empty
    |   +-- TruncatedSource   the video ended before its container said it would
    |   +-- SourceStalled     a live source stopped giving frames, or never gave one
    +-- FaceError             a picture that does not give the one face that was asked for
    |   +-- NoFace            no face was found
    |   +-- SeveralFaces      several were found and none was chosen
    +-- CodecError            coding or decoding failed
    |   +-- CorruptCode       the bytes are no code of this codec: cut, flipped, foreign or random
    |   +-- WrongCodec        the code was written with other weights than those loaded
    |   +-- WeightsError      weights are missing, damaged, or of another shape
    +-- ArchiveError          the archive cannot be used
    |   +-- ArchiveNotFound   no archive is there, or the database is unreachable
    |   |   +-- ArchiveUnreachable   its server does not answer, or the connection was lost: it may come back
    |   +-- ArchiveFull       the disk or the database has no room left
    |   +-- UnknownRecord     no such face, track, camera, identity or watch
    |   +-- SeenTogether      what would make two faces of one frame one person
    |   +-- FeedLost          what is kept beside the archive cannot follow it any more: it is made anew
    |   +-- IndexBusy         another process writes to the search index
    |   +-- IndexDamaged      the search index is not what was written: it is built anew from the archive
    +-- MissingLibrary        a library that only some work needs is not installed
    +-- PipelineError         a stage of the pipeline failed

Each message is one sentence or two: which thing (file, camera, record), what is wrong with it, and what to do.
"""


class StreamprocError(Exception):
    """The root of everything that streamproc raises on purpose."""


class ConfigError(StreamprocError):
    """A configuration that cannot be used."""


class SourceError(StreamprocError):
    """A video or picture that cannot be read."""


class SourceNotFound(SourceError):
    """Nothing is there under that name."""


class NotVideo(SourceError):
    """Something is there, but no video or picture can be read from it."""


class TruncatedSource(SourceError):
    """The video ended before its container said it would."""


class SourceStalled(SourceError):
    """A live source stopped giving frames, or never gave one."""


class FaceError(StreamprocError):
    """A picture that does not give the one face that was asked for."""


class NoFace(FaceError):
    """No face was found."""


class SeveralFaces(FaceError):
    """Several faces were found and none was chosen."""


class CodecError(StreamprocError):
    """Coding or decoding failed."""


class CorruptCode(CodecError):
    """The bytes are no code of this codec: cut, flipped, foreign or random."""


class WrongCodec(CodecError):
    """The code was written with other weights than those loaded."""


class WeightsError(CodecError):
    """Weights are missing, damaged, or of another shape."""


class ArchiveError(StreamprocError):
    """The archive cannot be used."""


class ArchiveNotFound(ArchiveError):
    """No archive is there, or its database is unreachable."""


class ArchiveUnreachable(ArchiveNotFound):
    """The archive's server does not answer, or the connection to it was lost; it may come back."""


class ArchiveFull(ArchiveError):
    """The disk or the database has no room left."""


class UnknownRecord(ArchiveError):
    """No such face, track, camera, identity or watch in the archive."""


class SeenTogether(ArchiveError):
    """What would make two faces of one frame one person."""


class FeedLost(ArchiveError):
    """What is kept beside the archive cannot follow it any more; it can be made anew from it."""


class IndexBusy(ArchiveError):
    """Another process writes to the search index."""


class IndexDamaged(ArchiveError):
    """The search index is not what was written; it can be built anew from the archive."""


class MissingLibrary(StreamprocError):
    """A library that only some work needs is not installed."""


class PipelineError(StreamprocError):
    """A stage of the pipeline failed."""
