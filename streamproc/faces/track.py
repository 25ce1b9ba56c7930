"""Tracks out of detections: one for each person's passage before a camera, with its best shots.

Association is norfair's: a Kalman filter predicts where each face's centre will be, and the nearest detections are
matched first. Distances are in face sizes, so that one threshold serves faces near and far.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

import numpy as np
import numpy.typing as npt

from streamproc.faces.align import alignment
from streamproc.faces.association import Candidate, Distance, OptimizedKalmanFilterFactory, TrackedObject, Tracker
from streamproc.types import Detection, FaceCrop, FloatArray, Frame, Image, Track

PATIENCE = 1.6
"""Seconds for which a face may go undetected and still be the same track."""
REACH = 1.7
"""How far from its predicted place a face may be found again, in face sizes (as the distance below has it)."""
TOP_SPEED = 5.0
"""Face sizes a second that a face seen only once, whose direction nobody knows, may have moved beside."""
MOVING = 1.0
"""Face sizes a second from which on a face has a heading: below, it is noise, and smear none."""
SHOT_SPACING = timedelta(seconds=0.3)
"""Two shots nearer in time than this are one: the better stays."""

# Of the Kalman filter, in face sizes and seconds: a detection's noise, and the standard deviations of a walker's speed
# and of its change.
_NOISE, _SPEED, _ACCELERATION = 0.05, 3.0, 4.0
# Of the distance, beside the way from the track's path: the way from its predicted place, the logarithm of the sizes.
_GOAL_WEIGHT, _SIZE_WEIGHT, _WAIT_COST = 0.25, 1.5, 0.3

Crop = Callable[[Image, Detection], FaceCrop]
_Points = npt.NDArray[np.float64]


FIRST_NEWS = timedelta(seconds=5)
"""A face that stays in view is told of after this time, and again, where it was seen clearly better, after twice as
long."""
CLEARLY = 1.15
"""Times the best shot's quality that make a shot clearly better. The best of some twenty shots of a face that keeps its
size and pose is by chance 1.04 to 1.14 times their median (five composed passes), so less than this says nothing."""


@dataclass(slots=True)
class _OpenTrack:
    started_at: datetime
    ended_at: datetime
    detections: int = 0
    shots: list[FaceCrop] = field(default_factory=list)
    news_at: timedelta = FIRST_NEWS
    told: float = 0.0


class _FaceDistance(Distance):
    """How unlike a track's continuation a detection is: its distances from the path between where the face was last
    seen and where it is predicted, and from the prediction, in face sizes, plus the logarithm of the ratio of sizes.

    Who stops while hidden is found on the path; who walks on past another is told apart by the prediction.
    """

    def __init__(self) -> None:
        self.missed = 0
        """Frames that did not come since the last one that was searched, as the tracker was told."""

    def get_distances(
        self, objects: Sequence[TrackedObject], candidates: list[Candidate] | list[TrackedObject] | None
    ) -> FloatArray:
        """(candidates, objects) float32."""
        if not objects or not candidates:
            return np.full((len(candidates or ()), len(objects)), np.inf, np.float32)
        found = cast("list[Candidate]", candidates)  # tracks are compared with tracks only by re-identification
        sizes = np.array([_size(track.last_detection.data) for track in objects])
        found_sizes = np.array([_size(candidate.data) for candidate in found])
        seen = np.concatenate([track.last_detection.points for track in objects])
        predicted = np.concatenate([track.estimate for track in objects])
        places = np.concatenate([candidate.points for candidate in found])[:, None]
        from_path = np.linalg.norm(places - _nearest_on_path(places, seen, predicted), axis=2)
        from_goal = np.linalg.norm(places - predicted, axis=2)
        grown = np.abs(np.log(found_sizes[:, None] / sizes))
        # A track that was just seen comes before one that waits where the face happens to pass.
        waits = np.array([track.hit_counter < track.hit_counter_max - 1 - self.missed for track in objects])
        distance = (from_path + _GOAL_WEIGHT * from_goal) / sizes + _SIZE_WEIGHT * grown + _WAIT_COST * waits
        moving = np.array([track.last_distance is not None for track in objects])
        return np.where(moving & (distance > REACH), np.inf, distance).astype(np.float32)


class TrackBuilder:
    """Follows faces from frame to frame and keeps each one's best shots.

    The same detections give the same tracks and ordinals again.
    """

    def __init__(self, rate: float, shots: int = 3, min_detections: int = 3) -> None:
        """`rate`: frames per second that are searched for faces, at most (what counts is their times); `shots`: how
        many a track keeps; `min_detections`: a track with fewer is taken for a false alarm and dropped."""
        self._rate = rate
        self._shots = shots
        self._min_detections = min_detections
        self._open: dict[int, _OpenTrack] = {}
        self._last: datetime | None = None
        self._lifetime = max(1, round(PATIENCE * rate) - 1)
        self._distance = _FaceDistance()
        self._tracker = _tracker(rate, self._lifetime, self._distance)

    def update(self, frame: Frame, detections: Sequence[Detection], crop: Crop) -> list[Track]:
        """The tracks that ended before `frame`, whose `detections` go on the others; frames come in order of time.

        `crop(image, detection)` is called for each detection and gives it its quality.
        """
        now = frame.time.captured_at
        self._distance.missed = self._missed(now)
        for _ in range(self._distance.missed):
            self._tracker.update()
        # Frames may be searched more seldom than at the nominal rate: what moved meanwhile follows the time.
        self._tracker.distance_threshold = REACH + TOP_SPEED * (1 + self._distance.missed) / self._rate
        candidates = [_candidate(detection) for detection in detections]
        # The period of a hit's credit is the whole lifetime: a face seen once is waited for as long as any other.
        self._tracker.update(candidates, period=self._lifetime)
        self._last = now
        for followed in self._tracker.tracked_objects:
            if any(followed.last_detection is candidate for candidate in candidates):
                shot = replace(
                    crop(frame.image, followed.last_detection.data),
                    camera_id=frame.camera_id,
                    time=frame.time,
                    heading=_heading(followed, self._rate),
                )
                self._extend(_ordinal(followed), now, shot)
        alive = {_ordinal(followed) for followed in self._tracker.tracked_objects if followed.hit_counter_is_positive}
        return self._close([ordinal for ordinal in self._open if ordinal not in alive])

    @property
    def following(self) -> bool:
        """Whether a face is in view, or was a moment ago."""
        return bool(self._open)

    def unfinished(self) -> list[Track]:
        """Open tracks that there is news of: who stays in view must not wait for the archive. A second time only where
        the best shot is clearly better than it was then: to code shots anew costs as much as a new face. Later news of
        a track, and the track itself in the end, bear the same ordinal."""
        news = []
        for ordinal, track in self._open.items():
            if track.ended_at - track.started_at < track.news_at or track.detections < self._min_detections:
                continue
            track.news_at *= 2
            best = track.shots[0].quality
            if best > CLEARLY * track.told:
                track.told = best
                news.append(_track(ordinal, track))
        return news

    def finish(self) -> list[Track]:
        """All tracks that were still open; the builder is done with then."""
        return self._close(list(self._open))

    def _missed(self, now: datetime) -> int:
        """How many frames were due since the last one and did not come."""
        if self._last is None:
            return 0
        steps = round((now - self._last).total_seconds() * self._rate)
        return min(max(0, steps - 1), self._lifetime + 2)

    def _extend(self, ordinal: int, now: datetime, shot: FaceCrop) -> None:
        track = self._open.setdefault(ordinal, _OpenTrack(now, now))
        track.ended_at = now
        track.detections += 1
        track.shots = _best(track.shots, shot, self._shots)

    def _close(self, ordinals: Sequence[int]) -> list[Track]:
        ended = []
        for ordinal in ordinals:
            track = self._open.pop(ordinal)
            if track.detections >= self._min_detections:
                ended.append(_track(ordinal, track))
        return ended


def _track(ordinal: int, track: _OpenTrack) -> Track:
    shots = tuple(sorted(track.shots, key=lambda shot: -shot.quality))
    return Track(ordinal, track.started_at, track.ended_at, track.detections, shots)


def _tracker(rate: float, lifetime: int, distance: _FaceDistance) -> Tracker:
    """A norfair tracker whose filter holds the same physics at every frame rate.

    Only the ratios of the variances matter to the filter's gains, so they are given against the measurement's.
    """
    step = 1 / rate
    kalman = OptimizedKalmanFilterFactory(
        R=1.0,
        Q=(_ACCELERATION * step * step / _NOISE) ** 2,
        pos_variance=1.0,
        vel_variance=(_SPEED * step / _NOISE) ** 2,
    )
    tracker = Tracker(
        distance_function="euclidean",
        distance_threshold=REACH + TOP_SPEED * step,
        hit_counter_max=lifetime,
        initialization_delay=0,
        filter_factory=kalman,
        past_detections_length=0,
    )
    # The constructor takes whole-matrix distances only by the name of its own.
    tracker.distance_function = distance  # type: ignore[assignment]
    return tracker


def _nearest_on_path(places: _Points, start: _Points, end: _Points) -> _Points:
    """The points of the (n, 2) segments from `start` to `end` nearest to each of (m, 1, 2) `places`: (m, n, 2)."""
    along = end - start
    length = np.maximum((along**2).sum(axis=1), 1e-9)
    share = np.clip(((places - start) * along).sum(axis=2) / length, 0.0, 1.0)
    nearest: _Points = start + share[..., None] * along
    return nearest


def _ordinal(followed: TrackedObject) -> int:
    """The track's ordinal, from 0: norfair counts from 1 in order of creation, here never delayed."""
    assert followed.id is not None
    return followed.id - 1


def _heading(followed: TrackedObject, rate: float) -> float | None:
    """The way of the face through its crop."""
    detection: Detection = followed.last_detection.data
    velocity = followed.estimate_velocity[0]
    if np.linalg.norm(velocity) * rate < MOVING * _size(detection):
        return None
    across, down = alignment(detection.landmarks)[:, :2] @ velocity
    return float(np.arctan2(down, across))


def _candidate(detection: Detection) -> Candidate:
    centre = (detection.box[:2] + detection.box[2:]).astype(np.float64) / 2
    return Candidate(points=centre[None], data=detection)


def _size(detection: Detection) -> float:
    width, height = np.maximum(detection.box[2:] - detection.box[:2], 1.0)
    return float(np.sqrt(width * height))


def _best(shots: Sequence[FaceCrop], new: FaceCrop, count: int) -> list[FaceCrop]:
    """The best `count` of `shots` and `new`, best first, no two of them within SHOT_SPACING."""
    near = [shot for shot in shots if abs(_seen(new) - _seen(shot)) < SHOT_SPACING]
    if any(shot.quality >= new.quality for shot in near):
        return list(shots)
    kept = [shot for shot in shots if all(shot is not other for other in near)]
    return sorted([*kept, new], key=lambda shot: -shot.quality)[:count]


def _seen(shot: FaceCrop) -> datetime:
    if shot.time is None:
        raise ValueError("A track's shot has no time.")
    return shot.time.captured_at
