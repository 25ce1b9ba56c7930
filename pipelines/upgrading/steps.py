"""The steps of an upgrade to newer weights, on an open archive. Importing it loads torch."""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pipelines.archive_index import ArchiveIndex
from pipelines.upgrading.loss import Loss, measure_loss
from pipelines.upgrading.photos import PhotoRow, measure_photos
from pipelines.upgrading.recoding import Recoded, recode
from pipelines.upgrading.settings_file import set_profile
from pipelines.upgrading.weights import WeightsAtHand
from storage import Archive, RecodingRecord
from streamproc.codec.face_codec import DEFAULT_QUALITY, FaceCodec
from streamproc.codec.profiles import stated_codec
from streamproc.config import Settings
from streamproc.errors import ArchiveError, ConfigError, UnknownRecord
from streamproc.faces.finder import FaceFinder


def begun(archive: Archive) -> RecodingRecord:
    """The newest upgrade of the archive; UnknownRecord where there is none."""
    records = archive.recodings.all()
    if not records:
        raise UnknownRecord("The archive is not being upgraded: `streamproc upgrade run --to WEIGHTS` begins that.")
    return records[-1]


def begin(archive: Archive, settings: Settings, weights: str, at: datetime) -> RecodingRecord:
    """The upgrade to the weights, a profile's name or a .safetensors file, begun or gone on with."""
    name = stated_codec(weights)
    if weights.endswith(".safetensors"):
        weights = str(Path(weights).resolve())
    return archive.recodings.begin(name.codec_id, name.profile, weights, settings.encode.profile, at)


def run(archive: Archive, settings: Settings, record: RecodingRecord, tell: Callable[[int, int], None]) -> Recoded:
    """What became of the faces that are left to code anew; the newer weights' index has them, too."""
    newer = FaceCodec.load(record.weights, settings.encode.device)
    before = archive.recodings.progress(record.codec_id)
    done, faces = before.coded, before.coded + before.waiting
    weights = WeightsAtHand(archive, settings)
    recoded = recode(archive, weights.required, newer, lambda count: tell(done + count, faces))
    ArchiveIndex(archive, newer).catch_up()
    return recoded


def measure(archive: Archive, settings: Settings, record: RecodingRecord) -> Loss:
    """What searches among the archive's own tracks lose by the upgrade."""
    wrote = archive.recodings.wrote(record.codec_id)
    if not wrote:
        raise ArchiveError("Nothing is coded anew yet, so there is nothing to measure: `streamproc upgrade run` first.")
    weights = WeightsAtHand(archive, settings)
    return measure_loss(archive, weights.required(wrote[0]), weights.required(record.codec_id))


def measure_on_photos(
    archive: Archive, settings: Settings, record: RecodingRecord, folder: Path, tell: Callable[[int, int], None]
) -> list[PhotoRow]:
    """What faces lose by the upgrade, on photos of known people: see `measure_photos`."""
    weights, detect = WeightsAtHand(archive, settings), settings.detect
    older = weights.required(archive.recodings.wrote(record.codec_id)[0])
    finder = FaceFinder.load(detect.device, detect.min_face, detect.yunet)
    quality = DEFAULT_QUALITY if settings.encode.quality is None else settings.encode.quality
    return measure_photos(folder, finder, older, weights.required(record.codec_id), quality, tell)


def lost_watches(archive: Archive, record: RecodingRecord) -> list[str]:
    """The watches for photos that other weights told the face of: the newer ones cannot compare it."""
    return [one.name for one in archive.watches.all() if one.codec_id not in (None, record.codec_id)]


def switch(archive: Archive, settings: Settings, record: RecodingRecord, file: Path) -> None:
    """Nothing; the settings file names the newer weights, and their index has all that there is."""
    ArchiveIndex(archive, WeightsAtHand(archive, settings).required(record.codec_id)).catch_up()
    set_profile(file, record.weights)


def roll_back(
    archive: Archive, settings: Settings, record: RecodingRecord, file: Path | None, tell: Callable[[int], None]
) -> None:
    """Nothing; the settings file names the weights that it named before, and what was coded anew is gone."""
    if not record.finished and stated_codec(settings.encode.profile).codec_id == record.codec_id:
        if file is None:
            raise ConfigError("The newer weights are in use: name the settings' file (--config), which goes back too.")
        set_profile(file, record.replaces)
    removed = 0
    for count in archive.recodings.take_back(record.codec_id):
        removed += count
        tell(removed)
    shutil.rmtree(archive.index_folder / record.codec_id, ignore_errors=True)


def finish(archive: Archive, settings: Settings, record: RecodingRecord, tell: Callable[[int], None]) -> int:
    """How many faces the newer layer is the only one of, for good; ConfigError while older weights are in use."""
    if stated_codec(settings.encode.profile).codec_id != record.codec_id:
        raise ConfigError(f"The settings do not name {record.weights}: `streamproc upgrade switch` comes first.")
    moved = 0
    for count in archive.recodings.finish(record.codec_id):
        moved += count
        tell(moved)
    return moved
