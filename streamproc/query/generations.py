"""One answer from several generations of weights: tracks that the current one does not know yet are asked for by those
that wrote them.

Similarities of different weights cannot be compared, probabilities can: by them the answers are merged. A track counts
once, and is answered by the current weights wherever they know it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from streamproc.query.reader import ArchiveReader, FaceIndex
from streamproc.query.search import FALSE_ALARMS, SearchCodec, SearchResult, search
from streamproc.types import FloatArray

DEEPER = 16
"""So many times the matches wanted are asked of older weights, for most of theirs may be known to the current ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """Weights, the question's `feature` (D,) in their terms, and of how many tracks they have faces, of which the
    current weights have none of `alone`."""

    codec: SearchCodec
    feature: FloatArray
    tracks: int
    alone: int
    index: FaceIndex | None = None


def search_generations(
    archive: ArchiveReader,
    current: Generation,
    older: Sequence[Generation],
    known: Callable[[Sequence[str]], frozenset[str]],
    cameras: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    top: int = 10,
    now: datetime | None = None,
    quality: float = 1.0,
    false_alarms: float = FALSE_ALARMS,
) -> SearchResult:
    """The answer, as `search` gives it; `known` says of which tracks, by id, the current weights have a face.

    `needed` is the similarity that the current weights take for a match: a match of older ones stands by theirs.
    `other_codec` counts what the current weights do not have, whoever found it.
    """
    asked = (cameras, since, until)
    alone = sum(one.alone for one in older)
    found = search(
        archive, current.codec, current.feature, *asked, top, now, quality, false_alarms, current.index, alone
    )
    people = found.searched + alone
    matches, matched = list(found.matches), found.verdict == "match"
    milliseconds, damaged = found.milliseconds, found.damaged
    for one in older:
        more = search(
            *(archive, one.codec, one.feature, *asked, DEEPER * top, now, quality, false_alarms, one.index),
            max(people - one.tracks, 0),
        )
        both = known([match.record.track_id for match in more.matches]) | {match.record.track_id for match in matches}
        only = [match for match in more.matches if match.record.track_id not in both]
        matched = matched or any(match.similarity >= more.needed for match in only)
        matches += only
        milliseconds += more.milliseconds
        damaged += more.damaged
    best = sorted(matches, key=lambda match: -match.probability)[:top]
    return replace(
        found,
        verdict="match" if matched else "no match",
        searched=people,
        milliseconds=milliseconds,
        matches=tuple(best),
        damaged=damaged,
    )
