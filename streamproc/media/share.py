"""How much of what cameras would like searched can be: one share of everybody's rates, found while it runs."""

from typing import Final

WAIT_MOST: Final = 0.5
"""Seconds that a frame may wait to be searched: above that less is asked for. A batch or two take that long."""
STALE: Final = 1.0
"""Seconds after which a frame is not worth searching any more: a newer one is there."""
STEP_SECONDS: Final = 1.0
"""Between two changes: what the last one did shows only when the frames sent before it are through."""
_RISE, _FALL = 0.04, 0.8
LEAST: Final = 0.1
"""A share goes no lower: from there on frames are dropped, of every camera alike."""
BEGINS: Final = 0.9
"""An overload is told of when the share was below this for so long that it was no hiccup:"""
LASTING: Final = 5.0


class FairShare:
    """Rises by small steps while frames are searched soon after they come, and falls by a fifth when they waited or
    were dropped, which is what lets many senders share a line they know nothing of (additive increase, multiplicative
    decrease: Chiu and Jain, 1989)."""

    def __init__(self) -> None:
        self.share = 1.0
        self._longest, self._missed = 0.0, 0
        self._changed: float | None = None

    def waited(self, seconds: float, missed: int = 0) -> None:
        """Nothing; a frame had waited so long when it was its turn, and before it `missed` ones found no room to wait
        in."""
        self._longest = max(self._longest, seconds)
        self._missed += missed

    def settle(self, now: float) -> bool:
        """Whether the share is another one now; ask often. `now`: monotonic seconds."""
        if self._changed is None:
            self._changed = now
        if now - self._changed < STEP_SECONDS:
            return False
        before, late = self.share, self._longest > WAIT_MOST or self._missed > 0
        self.share = max(LEAST, before * _FALL) if late else min(1.0, before + _RISE)
        self._longest, self._missed, self._changed = 0.0, 0, now
        return self.share != before


class Overload:
    """Says when an overload begins and ends."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._told = False

    def news(self, share: float, now: float) -> str | None:
        """A sentence when it has begun or is over, else None; ask at every sign of life. `now`: monotonic seconds."""
        if share >= BEGINS:
            self._since = None
            if self._told and share >= 1.0:
                self._told = False
                return "Detection keeps up again: every camera is searched at its full rate."
            return None
        self._since = now if self._since is None else self._since
        if self._told or now - self._since < LASTING:
            return None
        self._told = True
        return f"Detection is overloaded: every camera is searched at {100 * share:.0f} % of its rate."
