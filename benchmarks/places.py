"""How well a question's own place tells how alike strangers are there: false alarms and people found, both ways.

`python benchmarks/places.py WORK`, WORK being where `train calibration` ran: held-out celebrities and mebeauty's
portraits as photos that are asked about and as tracks that a camera left. Archives are drawn from one group of people,
from all, or from celebrities; everybody is asked about by a photo, or by a track of a camera.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from streamproc.codec.calibration import Calibration, read_calibration
from streamproc.codec.profiles import profile_path, stated_codec
from streamproc.training import seen
from streamproc.training.calibration import TWICE
from streamproc.training.data import NO_IDENTITY
from streamproc.training.seen import SeenFaces

RATE = 0.05
TRIALS = 1000
SIZES = (10, 50, 190, 1000)

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of questions that are answered by "match": by a mixed crowd's threshold, and by the place's own."""

    mixed: float
    told: float

    def __str__(self) -> str:
        return f"{100 * self.mixed:.1f} / {100 * self.told:.1f}"


def answered(faces: SeenFaces, scale: Calibration, pool: Rows, tracks: int, there: bool, by_track: bool) -> Shares:
    """How often whom is asked about is found (`there`: one of the archive's tracks is of another photo of that person,
    who alone counts), or somebody else is taken for that person."""
    chance, mixed, told = np.random.default_rng(1), 0, 0
    questions = faces.tracks if by_track else faces.asked
    quality = faces.track_quality if by_track else faces.asked_quality
    for _ in range(TRIALS):
        asked = int(chance.choice(pool))
        same = (faces.identities == faces.identities[asked]) & (faces.identities[asked] != NO_IDENTITY)
        strangers = pool[~same[pool] & (faces.asked[pool] @ faces.asked[asked] < TWICE) & (pool != asked)]
        own = np.flatnonzero(same & (np.arange(len(same)) != asked))
        archive = chance.choice(strangers, tracks - int(there), replace=False)
        if there:
            archive = np.append(archive, chance.choice(own))
        similarities = faces.tracks[archive] @ questions[asked]
        reached = similarities[-1] if there else similarities.max()
        here = scale.among(similarities, float(quality[asked]))
        mixed += int(reached >= scale.threshold(tracks, RATE))
        told += int(reached >= here.threshold(tracks, RATE))
    return Shares(mixed / TRIALS, told / TRIALS)


def table(title: str, faces: SeenFaces, scale: Calibration, pools: dict[str, Rows], there: bool) -> Table:
    """A row a pool, a column a size of archives and kind of question."""
    made = Table("archive of", "of", title=title)
    for size in SIZES:
        made.add_column(f"{size} tracks\nby a photo", justify="right")
        made.add_column("by a track", justify="right")
    for name, pool in pools.items():
        cells: list[str] = []
        for size in SIZES:
            fits = len(pool) > 1.2 * size
            cells += [str(answered(faces, scale, pool, size, there, way)) if fits else "" for way in (False, True)]
        made.add_row(name, str(len(pool)), *cells)
    return made


def pools_of(faces: SeenFaces) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """(groups of portraits and all of them, celebrities with several photos) by name."""
    portraits, groups = faces.identities == NO_IDENTITY, faces.groups
    found = {name: np.flatnonzero(groups == name) for name in sorted(set(groups[portraits]))}
    identities, counts = np.unique(faces.identities[~portraits], return_counts=True)
    several = np.flatnonzero(np.isin(faces.identities, identities[counts > 1]))
    return found | {"all groups": np.flatnonzero(portraits)}, {"celebrities": several}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    options = parser.parse_args(arguments)
    codec_id = stated_codec("default").codec_id
    faces, scale = seen.load(options.work / f"seen-{codec_id}"), read_calibration(profile_path("default"), codec_id)
    strangers, celebrities = pools_of(faces)
    console = Console(width=160)
    note = f"% of {TRIALS} questions, false alarms asked for {100 * RATE:.0f} %; by a mixed crowd / by the place"
    console.print(table(f"Never there: taken for somebody\n{note}", faces, scale, strangers | celebrities, False))
    console.print(table(f"There: found\n{note}", faces, scale, celebrities, True))


if __name__ == "__main__":
    main()
