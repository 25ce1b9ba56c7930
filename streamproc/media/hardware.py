"""Decoding in hardware, where there is some: asked for, tried, given up for software with one sentence."""

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

_PROBE = "h264"
"""What a device must decode to be worth anything to cameras."""


class Hardware:
    """The hardware that a process decodes with; given up once, it stays so."""

    def __init__(self, wanted: str = "none") -> None:
        """`wanted`: "none", "auto" (the first that works), or a device type of FFmpeg's ("cuda", "vaapi", ...)."""
        self._wanted = wanted
        self._kind: str | None = None
        self._gone = wanted == "none"
        self._news: list[str] = []

    def acceleration(self) -> HWAccel | None:
        """What to open the next source with; None: software."""
        if not self._gone:
            self._kind = self._choose()
        return None if self._gone or self._kind is None else HWAccel(self._kind)

    def give_up(self, why: str) -> None:
        """Nothing; software decodes from now on."""
        if not self._gone:
            self._gone = True
            self._news.append(f"no hardware decodes ({self._kind or self._wanted}: {why}), software does")

    def news(self) -> list[str]:
        """What was not told yet, each once."""
        told, self._news = self._news, []
        return told

    def _choose(self) -> str | None:
        available = hwdevices_available()
        if self._wanted != "auto" and self._wanted not in available:
            self.give_up(f"this FFmpeg has {', '.join(available) or 'none'}")
            return None
        refusals: list[str] = []
        for kind in available if self._wanted == "auto" else [self._wanted]:
            try:
                if av.CodecContext.create(_PROBE, "r", hwaccel=HWAccel(kind)).is_hwaccel:
                    return kind
                refusals.append(f"{kind} does not decode {_PROBE}")
            except av.error.FFmpegError as error:
                refusals.append(f"{kind} is not there, {error.strerror}")
        self.give_up("; ".join(refusals) or "none is known")
        return None
