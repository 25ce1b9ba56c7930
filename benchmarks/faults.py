"""What the service makes of what goes wrong, in one scripted run on real RTSP cameras with the real detector and codec.

Three cameras of composed scenes, each with a server of its own: `gate` suffers, `yard` must not notice, `alley` comes
over UDP. One fault after the other; the table says when the service noticed, when it recorded again (after the fault
was over; for a killed process, after the kill), and what was lost, by the ledger of gaps and the scenes' truth.

    python benchmarks/faults.py [--quick] [--only FAULT] [--json] [--portraits DIR] [--clips DIR]

Exit code 1 when a goal is missed. The archive lies in a small memory disk of a mount namespace of its own (`unshare`),
which is filled up; where that is not allowed, that one fault is left out.
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipelines.bench.cameras import CameraServer, looped
from pipelines.bench.ingest import SLACK
from pipelines.bench.scenery import Format, LivePass, compose_scenes, matched_passes, shown_between, walkers
from pipelines.bench.seen import gallery_of, seen_tracks
from pipelines.bench.site import Processes, Site, fill
from storage import Archive
from streamproc.codec.face_codec import FaceCodec
from streamproc.config import ServiceSettings, Settings
from streamproc.evaluation.portraits import Person
from streamproc.evaluation.scene_truth import SceneTruth
from streamproc.faces.finder import FaceFinder
from streamproc.types import GapReason, GapRecord

GATE, YARD, ALLEY = CAMERAS = ("gate", "yard", "alley")
LARGE, SMALL = Format(960, 540, 15, 40.0, 10.0), Format(640, 480, 15, 40.0, 10.0)
"""Nobody meets anybody: who is hidden behind another is no question of these faults."""
PATIENCE = 90.0
"""Seconds after which what was waited for is given up."""
UNSEEN = 2.0
"""Seconds of a fault that may lie before and after its gap: frames that were under way."""
STALL = 2.0
"""Seconds for which the frame counter of a camera that nothing happened to may stand still."""
DISK = "48m"


@dataclass(frozen=True, slots=True)
class Goal:
    """What has to come true, seconds; None: not asked. `ledger`: the ledger has all but 2 s of the fault; `whole`: it
    has nothing, and nobody who passed is missing."""

    noticed: float | None
    recovered: float
    ledger: bool = False
    whole: bool = False

    def __str__(self) -> str:
        parts = [f"noticed {self.noticed:.0f} s"] if self.noticed else []
        parts += [f"back {self.recovered:.0f} s"]
        parts += ["in the ledger"] if self.ledger else []
        return ", ".join(parts + (["nothing lost"] if self.whole else []))


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with `camera`: how it begins and, after `hold` seconds at least, ends (None: by
    itself); how it shows, and that it is over. `touched`: processes that may change; `spoils`: the camera's pictures
    are not what the scene's truth says."""

    name: str
    camera: str
    begin: Callable[[], None]
    shows: Callable[[], bool]
    over: Callable[[], bool]
    goal: Goal
    end: Callable[[], None] | None = None
    hold: float = 0.0
    touched: tuple[str, ...] = ()
    spoils: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """A fault, when it began and all was well again (UTC), for how many seconds it lasted, seconds until it was noticed
    and, after its end, until all was recorded again, and the other processes and cameras that noticed something."""

    fault: Fault
    began: datetime
    over: datetime
    lasted: float
    noticed: float | None
    recovered: float | None
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. `gap_s`: seconds in the ledger; `missed`: passes in sound video that nobody archived."""

    fault: str
    goal: str
    noticed_s: float | None
    recovered_s: float | None
    gap_s: float
    reasons: str
    missed: int
    others_touched: str
    well: bool


def faults(site: Site, quick: bool, small: str, disk: Path | None) -> list[Fault]:
    """The script."""
    gate, alley = site.servers[GATE], site.servers[ALLEY]
    hold, away = (8.0, 8.0) if quick else (20.0, 60.0)

    def blind(*reasons: GapReason) -> Callable[[], bool]:
        return lambda: site.reason(GATE) in reasons

    def told(name: str, fault: str, shows: Callable[[], bool], goal: Goal, camera: str = GATE) -> Fault:
        server, usual = (alley, "well") if camera == ALLEY else (gate, f"show {gate.pictures[GATE]}")
        return Fault(
            name, camera, lambda: server.tell(camera, fault), shows, lambda: site.recording(camera), goal,
            lambda: server.tell(camera, usual), hold,
        )  # fmt: skip

    def dies(name: str, over: Callable[[], bool], whole: bool = False) -> Fault:
        return Fault(
            f"{name} killed", GATE, lambda: site.kill(name), lambda: site.replaced(name),
            lambda: site.replaced(name) and over(), Goal(None, 10, whole=whole), touched=(name,), spoils=False,
        )  # fmt: skip

    gone = blind(GapReason.SILENT, GapReason.UNREACHABLE)
    script = [
        Fault("server killed", GATE, gate.kill, gone, lambda: site.recording(GATE), Goal(10, 5, ledger=True),
              gate.start, away),
        Fault("server hangs", GATE, gate.hang, gone, lambda: site.recording(GATE), Goal(10, 10, ledger=True),
              gate.go_on, hold),
        told("picture frozen", "frozen", blind(GapReason.FROZEN), Goal(12, 5, ledger=True)),
        told("garbage packets", "garbage", blind(GapReason.CORRUPT), Goal(10, 10, ledger=True)),
        told("10 % of UDP lost", "loss 0.1", lambda: site.suffering(ALLEY), Goal(10, 5), ALLEY),
        told("other resolution", f"show {small}", lambda: site.recording(GATE), Goal(None, 5)),
        dies(GATE, lambda: site.live(GATE) and site.frames(GATE) > 1),
        dies("detect", lambda: site.up("detect") and site.all_well()),
        dies("encode", lambda: site.up("encode"), True),
        dies("archive", lambda: site.up("archive"), True),
    ]  # fmt: skip
    if disk is not None:
        filler = disk / "filler"
        script.append(
            Fault("disk full", GATE, lambda: fill(filler, site.archive), lambda: not site.service.archive.well,
                  lambda: site.service.archive.well, Goal(30, 10, whole=True), filler.unlink, hold, spoils=False)
        )  # fmt: skip
    return script


def suffered(site: Site, fault: Fault) -> Outcome:
    """What the service made of a fault."""
    before, began, clock = site.mark().processes, datetime.now(UTC), time.monotonic()
    fault.begin()
    noticed = site.until(fault.shows, PATIENCE)
    if fault.end is not None:
        time.sleep(max(0.0, clock + fault.hold - time.monotonic()))
        fault.end()
        site.mark()
        lasted = time.monotonic() - clock
        recovered = site.until(fault.over, PATIENCE)
    else:
        rest = site.until(fault.over, PATIENCE)
        lasted = time.monotonic() - clock
        recovered = None if rest is None else lasted
    time.sleep(1.0)
    others = touched(site, before, fault, clock)
    return Outcome(fault, began, datetime.now(UTC), lasted, noticed, recovered, others)


def touched(site: Site, before: Processes, fault: Fault, since: float) -> tuple[str, ...]:
    """Names of the processes that a fault ended and should not have, and of cameras whose frames stood still."""
    after = site.processes()
    wrong = [name for name, process in after.ids.items() if name not in fault.touched and process != before.ids[name]]
    # Without a detector nobody can go on: that is what the ledger says then.
    witnesses = () if "detect" in fault.touched else [name for name in CAMERAS if name != fault.camera]
    stalled = [name for name in witnesses if site.longest_stall(name, since, time.monotonic()) > STALL]
    return tuple(dict.fromkeys(wrong + stalled))


def row(outcome: Outcome, gaps: Sequence[GapRecord], passes: Sequence[LivePass]) -> Row:
    """The fault's line, of its own gaps."""
    fault, goal = outcome.fault, outcome.fault.goal
    seconds = sum(((gap.ended_at or outcome.over) - gap.began_at).total_seconds() for gap in gaps)
    missed = sum(outcome.began <= one.end and one.start <= outcome.over for one in passes)
    well = (
        outcome.recovered is not None
        and outcome.recovered <= goal.recovered
        and (goal.noticed is None or (outcome.noticed is not None and outcome.noticed <= goal.noticed))
        and not (goal.ledger and seconds < outcome.lasted - UNSEEN)
        and not (goal.whole and (missed or gaps))
        and not outcome.others
        and all(gap.ended_at is not None for gap in gaps)
    )
    reasons = ", ".join(sorted({f"{gap.camera} {gap.reason.value}" for gap in gaps}))
    return Row(
        fault.name, str(goal), _rounded(outcome.noticed), _rounded(outcome.recovered), round(seconds, 1), reasons,
        missed, ", ".join(outcome.others), well,
    )  # fmt: skip


def owner(gap: GapRecord, outcomes: Sequence[Outcome]) -> Outcome | None:
    """The fault that a gap is of: the first one that was not over when the gap began."""
    return next((outcome for outcome in outcomes if gap.began_at <= outcome.over), None)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def missed_passes(
    scenes: Sequence[SceneTruth], site: Site, people: Sequence[Person], outcomes: Sequence[Outcome],
    gaps: Sequence[GapRecord], since: datetime, until: datetime,
) -> list[LivePass]:  # fmt: skip
    """Passes that reached the machine, outside the ledger's gaps, and of which the archive knows nothing."""
    codec = FaceCodec.load()
    with Archive.open(str(site.archive)) as archive:
        tracks = seen_tracks(archive, codec)
    epochs = {name: server.epoch for name, server in site.servers.items()}
    shown = [one for scene in scenes for one in shown_between(scene, epochs[scene.view.camera], since, until)]
    spoilt = [(one.fault.camera, one.began, one.over) for one in outcomes if one.fault.spoils]
    spoilt += [(gap.camera, gap.began_at, gap.ended_at or until) for gap in gaps]
    return [
        one
        for one in matched_passes(shown, tracks, gallery_of(people, codec), SLACK)
        if since <= one.start and one.end <= until and not one.matched.tracks
        if not any(camera == one.camera and one.start - SLACK <= end and begin <= one.end + SLACK
                   for camera, begin, end in spoilt)
    ]  # fmt: skip


def scripted(
    quick: bool, only: Sequence[str], portraits: Path | None, clips: Path | None, disk: Path | None
) -> tuple[list[Row], str]:
    """(a row a fault, what SQLite says of the archive's integrity)."""
    progress = Console(stderr=True)

    def composing(what: str, done: int, total: int) -> None:
        if done == total:
            progress.print(f"{what}: {done}")

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kept = clips or folder
        kept.mkdir(parents=True, exist_ok=True)
        people = walkers(portraits, FaceFinder.load("cpu"), composing)
        scenes = compose_scenes(CAMERAS, LARGE, people, kept, composing)
        other = compose_scenes([f"{GATE}-small"], SMALL, people, kept, composing)[0]
        servers = {
            scene.view.camera: stack.enter_context(
                CameraServer({scene.view.camera: looped(kept / scene.clip, LARGE.fps)})
            )
            for scene in scenes
        }
        jobs = [server.job(name, "udp" if name == ALLEY else "tcp") for name, server in servers.items()]
        settings = Settings(service=ServiceSettings(frozen=4.0 if quick else 8.0))
        site = Site((disk or folder) / "site.db", settings, servers, jobs)
        try:
            if site.until(site.all_well, PATIENCE) is None:
                raise SystemExit("The cameras did not come to life: " + "; ".join(site.log))
            time.sleep(10)  # what piled up while the models were loaded is worked off
            since = datetime.now(UTC)
            outcomes = []
            for fault in faults(site, quick, looped(kept / other.clip, SMALL.fps), disk):
                if only and fault.name not in only:
                    continue
                progress.print(f"{fault.name} ...")
                outcomes.append(suffered(site, fault))
                time.sleep(3.0 if quick else 10.0)
            until = datetime.now(UTC)
        finally:
            site.stop()
            progress.print("\n".join(site.log), markup=False, highlight=False)
        with closing(sqlite3.connect(site.archive)) as connection:
            integrity = str(connection.execute("pragma integrity_check").fetchone()[0])
        with Archive.open(str(site.archive)) as archive:
            gaps = [gap for gap in archive.gaps() if gap.reason is not GapReason.STOPPED]
        missed = missed_passes(scenes, site, people, outcomes, gaps, since, until)
        for one in missed:
            truth = one.matched.truth
            progress.print(f"missed: {one.camera} {one.start:%H:%M:%S} {truth.size:.0f} px, {truth.speed:.0f} px/s")
        rows = [row(outcome, [gap for gap in gaps if owner(gap, outcomes) is outcome], missed) for outcome in outcomes]
        known = sum(line.missed for line in rows)
        rows.append(Row("between them", "", None, None, 0.0, "", max(0, len(missed) - known), "", True))
    return rows, integrity


def apart() -> list[str]:
    """The command that gives a process mounts of its own; nothing where that is not allowed."""
    command = ["unshare", "-m" if os.geteuid() == 0 else "-rm"]
    if shutil.which(command[0]) is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        return []
    return command


def main() -> int:
    """0, or 1 when a goal was missed; prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter faults")
    parser.add_argument("--only", action="append", default=[], metavar="FAULT", help="this fault; may be repeated")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--portraits", type=Path, help="who walks: PERSON_ANY.jpg; default the samples' faces")
    parser.add_argument("--clips", type=Path, help="keep the composed clips here")
    parser.add_argument("--disk", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.disk is None and (command := apart()):
        with tempfile.TemporaryDirectory() as folder:
            again = [*command, sys.executable, *sys.argv, "--disk", folder]
            return subprocess.run(again, check=False).returncode
    if arguments.disk is not None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", arguments.disk], check=True)
    rows, integrity = scripted(arguments.quick, arguments.only, arguments.portraits, arguments.clips, arguments.disk)
    well = all(line.well for line in rows) and integrity == "ok"
    if arguments.json:
        print(json.dumps({"rows": [asdict(line) for line in rows], "integrity": integrity, "well": well}, indent=2))
        return 0 if well else 1
    table = Table("fault", "goal", "noticed in", "recovered in", "lost", "others", "", caption=f"archive: {integrity}")
    for line in rows:
        lost = f"{line.gap_s:.1f} s ({line.reasons})" if line.gap_s else ""
        lost += f" {line.missed} passes" if line.missed else ""
        times = ["" if seconds is None else f"{seconds:.1f} s" for seconds in (line.noticed_s, line.recovered_s)]
        table.add_row(
            line.fault, line.goal, *times, lost or "nothing", line.others_touched, "" if line.well else "MISSED"
        )
    Console(width=150).print(table)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
