"""The supervisor's line to the archive."""

import queue
import threading
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from pipelines.links import Post
from pipelines.live_messages import ClearAsked, GapNews, HiddenForgotten, ResumedNews, RoomAsked, WatchedNews

News: TypeAlias = ResumedNews | GapNews | WatchedNews | HiddenForgotten | ClearAsked | RoomAsked


class Ledger:
    """Tells the archive what the supervisor knows, from a thread of its own: the supervisor waits for nobody."""

    def __init__(self, door: Path) -> None:
        self._door = door
        self._news: queue.Queue[News | None] = queue.Queue()
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._thread.start()

    def enter(self, news: News) -> None:
        """Nothing; the news is on its way."""
        self._news.put(news)

    def finish(self, seconds: float) -> None:
        """Nothing; all news was told, or the time is up."""
        self._news.put(None)
        self._thread.join(seconds)

    def _tell(self) -> None:
        post = Post(self._door, 256, lambda: None, float("inf"))
        with suppress(OSError):
            while (news := self._news.get()) is not None:
                post.send(news)
                post.settle(0.0)
            post.finish(60.0)
