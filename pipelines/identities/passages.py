"""An archive's tracks as gathering wants them."""

import zlib
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from storage import Archive
from streamproc.query.gathering import Passage
from streamproc.query.presence import Span
from streamproc.query.search import SearchCodec


def passages(archive: Archive, codec: SearchCodec) -> Iterator[Passage]:
    """Every track of the archive that this codec wrote, in the order in which they began."""
    layers = archive.base_layers(codec.codec_id)
    sound = [k for k, sums in enumerate(layers.checksums) if zlib.crc32(layers.payloads[k]) == sums]
    features = codec.features([layers.payloads[k] for k in sound])
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, k in enumerate(sound):
        rows[layers.track_ids[k]].append(row)
    quality = {record.id: record.quality for record in archive.faces(list(layers.face_ids))}
    for track in archive.tracks():
        if track.id not in rows:
            continue
        mean = features[rows[track.id]].mean(axis=0)
        began, ended = (round(time.timestamp() * 1_000_000) for time in (track.started_at, track.ended_at))
        span = Span(track.id, track.camera, began, ended)
        best = max(quality[layers.face_ids[sound[row]]] for row in rows[track.id])
        yield Passage(span, (mean / np.linalg.norm(mean)).astype(np.float32), best)
