"""Identities and the search index in the service: a process of their own, that follows what is archived; and after a
batch, once."""

from pipelines.archive_index import ArchiveIndex
from pipelines.identities.keeper import Keeper
from pipelines.messages import Beat, Sighted
from pipelines.worker import BEAT_SECONDS, Control
from storage import Archive, SightingRecord
from streamproc.codec.face_codec import FaceCodec
from streamproc.config import Settings


def run(control: Control, archive_url: str, settings: Settings) -> None:
    """Gathers what is archived until it is ended; tells the supervisor of sightings."""
    control.stoppable()
    control.send(Beat())
    codec = FaceCodec.load(settings.encode.profile, settings.encode.device)

    def tell(sighting: SightingRecord) -> None:
        track = sighting.track
        control.send(Sighted(sighting.watch, track.camera, track.id, track.started_at, sighting.probability))

    with Archive.open(archive_url) as archive, ArchiveIndex(archive, codec) as index:
        keeper = Keeper(archive, codec, tell, settings.search.false_alarms)
        while not control.stopping.wait(BEAT_SECONDS):
            keeper.turn()
            index.catch_up(stay=True)
            control.beat(Beat())


def gather(archive_url: str, settings: Settings, everything: bool = False, codec: FaceCodec | None = None) -> int:
    """How many tracks of the archive were nobody's and are somebody's now; their identities are compared with all
    others, with `everything` all are: for after the weights were replaced. `codec`: the settings', if it is loaded."""
    codec = codec or FaceCodec.load(settings.encode.profile, settings.encode.device)
    with Archive.open(archive_url) as archive:
        keeper = Keeper(archive, codec, false_alarms=settings.search.false_alarms)
        keeper.consolidate(everything)
        ArchiveIndex(archive, codec).catch_up()
        return keeper.gathered
