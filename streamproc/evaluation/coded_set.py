"""What the codec makes of a set's crops: raw features and base layers, kept, since the trunk takes minutes; and how
long its codes are against the ideal. The only room of evaluation that looks inside the codec."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamproc.codec.bitstream import HEADER_BYTES
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.range_coder import ideal_bits
from streamproc.evaluation.lfw_set import SHARD, LfwSet
from streamproc.training.loop import Progress
from streamproc.training.shards import read_shard, shard_path, write_shards
from streamproc.types import Array, FloatArray, Image


@dataclass(frozen=True, slots=True, eq=False)
class CodedSet:
    """Images of a set: `raw` (N, 128) features before coding, `bases` the N base payloads."""

    raw: FloatArray
    bases: tuple[bytes, ...]


def coded_set(images: LfwSet, codec: FaceCodec, count: int, progress: Progress) -> CodedSet:
    """Raw features and base layers of LFW's first `count` images, computed where they are not kept yet."""
    images.prepare(range(count), progress)
    shards = -(-count // SHARD)
    coded = coded_shards(images.folder, images.key, codec, lambda n: images.shard(n).crops, shards, progress)
    return CodedSet(coded.raw[:count], coded.bases[:count])


def coded_shards(
    folder: Path, key: str, codec: FaceCodec, crops: Callable[[int], Image], count: int, progress: Progress
) -> CodedSet:
    """Raw features and base layers of `count` shards of a set, `crops(number)` those of one.

    They are kept in `folder` under the encoding's id, and computed where they are not or where `key`, which says what
    the crops show, is another.
    """
    folder = folder / f"codes-{codec.encoding_id}"
    for done in write_shards(folder, range(count), lambda some: _code(codec, crops(some[0])), 1, key):
        progress("features and base layers", done, count)
    parts = [read_shard(shard_path(folder, number)) for number in range(count)]
    return CodedSet(
        np.concatenate([part["raw"] for part in parts]),
        tuple(payload for part in parts for payload in _payloads(part)),
    )


def _code(codec: FaceCodec, crops: Image) -> dict[str, Array]:
    raw, bases = code_bases(codec, crops)
    lengths = np.array([len(base) for base in bases], np.int64)
    return {"raw": raw, "lengths": lengths, "bytes": np.frombuffer(b"".join(bases), np.uint8)}


def _payloads(arrays: dict[str, Array]) -> list[bytes]:
    ends = np.cumsum(arrays["lengths"]).tolist()
    data = arrays["bytes"].tobytes()
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def code_bases(codec: FaceCodec, crops: Image) -> tuple[FloatArray, list[bytes]]:
    """(raw features, base payloads), as `codec.encode` gives them but with one pass of the trunk for both."""
    raw = codec.raw_features(crops)
    return raw, codec.base.encode(crops, raw)


def identity_bits(codec: FaceCodec, bases: Sequence[bytes]) -> npt.NDArray[np.float64]:
    """(N,) ideal code lengths, bits, of the identities inside base payloads."""
    code = codec.base.code
    return code.ideal_bits(code.unpack(bases, codec.base.identity_latents))


def base_bits(codec: FaceCodec, bases: Sequence[bytes]) -> npt.NDArray[np.float64]:
    """(N,) ideal code lengths, bits, of base payloads."""
    code = codec.base.code
    return code.ideal_bits(code.unpack(bases))


def base_excess(codec: FaceCodec, bases: Sequence[bytes]) -> float:
    """The largest lead of a base payload over its ideal code length, bytes."""
    lengths = np.array([len(base) for base in bases])
    return float((lengths - base_bits(codec, bases) / 8).max())


def enhancement_excess(codec: FaceCodec, payload: bytes, base: bytes) -> float:
    """The lead of an enhancement's range-coded stream over its ideal code length, bytes."""
    layer = codec.enhancement
    found = layer.symbols(payload, base)
    ideal = ideal_bits(found.hyper, layer.tables.hyper_indexes, layer.tables.hyper)
    ideal += ideal_bits(found.latent, layer.indexes([found], [base])[0], layer.tables.latent)
    return len(payload) - HEADER_BYTES - ideal / 8
