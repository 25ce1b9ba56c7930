"""Whether pictures of an H.264 stream were lost on the way, which its decoder hides: it shows the ones that were
predicted from them without a word (ITU-T H.264, 7.3.2.1.1, 7.3.3 and 7.4.3)."""

from typing import Final

_SLICE, _SLICE_OF_KEY, _PARAMETERS = 1, 5, 7
_WITH_CHROMA: Final = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
"""Profiles whose parameters speak of chroma and of scaling lists."""
_HEADER = 64
"""Bytes of a slice that hold the beginning of its header for sure."""


class FrameNumbers:
    """Follows `frame_num`, which every picture that others are predicted from raises by one."""

    def __init__(self, extradata: bytes | None = None) -> None:
        """`extradata`: the parameters that the container keeps, in Annex B's form, if it does."""
        self._bits: int | None = None
        self._gaps_allowed = False
        self._last: int | None = None
        if extradata is not None:
            self.lost_before(extradata)

    def lost_before(self, data: bytes) -> bool:
        """Whether something that this packet (Annex B) builds on is missing; False for what cannot be read."""
        at = data.find(b"\0\0\1")
        while 0 <= at < len(data) - 4:
            kind, used = data[at + 3] & 31, data[at + 3] >> 5 & 3
            try:
                if kind == _PARAMETERS:
                    self._learn(_Bits(data[at + 4 : at + 4 + 4 * _HEADER]))
                elif kind in (_SLICE, _SLICE_OF_KEY):  # the others of the picture say the same
                    return self._follow(_Bits(data[at + 4 : at + 4 + _HEADER]), kind == _SLICE_OF_KEY, bool(used))
            except IndexError:
                return False
            at = data.find(b"\0\0\1", at + 3)
        return False

    def _follow(self, bits: "_Bits", key: bool, used: bool) -> bool:
        if self._bits is None:
            return False
        for _ in range(3):  # the place of its first macroblock, its kind, its picture parameters
            bits.number()
        number, last = bits.take(self._bits), self._last
        if used:
            self._last = number
        if key or last is None or self._gaps_allowed:
            return False
        return number not in (last, (last + 1) % (1 << self._bits))

    def _learn(self, bits: "_Bits") -> None:
        profile = bits.take(24) >> 16  # with the constraints and the level
        bits.number()
        if profile in _WITH_CHROMA:
            _skip_chroma(bits)
        self._bits = bits.number() + 4
        order = bits.number()
        if order == 0:
            bits.number()
        elif order == 1:
            bits.take(1)
            bits.number(), bits.number()
            for _ in range(bits.number()):
                bits.number()
        bits.number()
        self._gaps_allowed = bits.take(1) == 1


def _skip_chroma(bits: "_Bits") -> None:
    chroma = bits.number()
    if chroma == 3:
        bits.take(1)
    bits.number(), bits.number()
    bits.take(1)
    if bits.take(1):
        for scaling_list in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if scaling_list < 6 else 64)


def _skip_scaling_list(bits: "_Bits", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


class _Bits:
    """Reads a NAL unit's payload bit by bit; IndexError at its end."""

    def __init__(self, payload: bytes) -> None:
        self._data = payload.replace(b"\0\0\3", b"\0\0")  # emulation prevention
        self._at = 0

    def take(self, count: int) -> int:
        """The next `count` bits."""
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def number(self) -> int:
        """The next number in Exp-Golomb code, ue(v)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """The next number in signed Exp-Golomb code, se(v)."""
        number = self.number()
        return (number + 1) // 2 if number % 2 else -(number // 2)
