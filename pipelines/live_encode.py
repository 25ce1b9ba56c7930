"""The service's coding stage: from the tracks of all live cameras to coded tracks."""

import time
from pathlib import Path

from pipelines.encode import Coder, code_tracks, warm
from pipelines.links import PATIENCE, UNDER_WAY, Door, Inlet, Post
from pipelines.live_messages import SessionCoded, SessionTrack
from pipelines.loading import loading
from pipelines.tallies import Tally
from pipelines.worker import BEAT_SECONDS, Control
from streamproc.config import EncodeSettings


def run_encode(control: Control, door: Path, next_door: Path, settings: EncodeSettings) -> None:
    """Loads the codec, then codes tracks until it is asked to stop."""
    opened = Door(door)
    with loading():
        from streamproc.codec.face_codec import FaceCodec

        codec = FaceCodec.load(settings.profile, settings.device, settings.enhancement)
        warm(codec, settings.quality)
    encode(control, opened, next_door, settings, codec)


def encode(control: Control, door: Door, next_door: Path, settings: EncodeSettings, codec: Coder) -> None:
    """Codes tracks until it is asked to stop; a sender hears that its track is safe when the archive has said so."""
    control.stoppable()
    tally = Tally(UNDER_WAY)

    def beat() -> None:
        control.beat(tally.report(post.under_way))

    # One more than are ever sent: nothing waits inside `send`, where nobody would notice a stop.
    post = Post(next_door, UNDER_WAY + 1, beat, PATIENCE)
    inlet = Inlet(door)
    while not control.stopping.is_set():
        beat()
        room = UNDER_WAY - post.under_way
        letters = inlet.letters(min(settings.batch, room), BEAT_SECONDS) if room else []
        tracks = [letter.message.track for letter in letters if isinstance(letter.message, SessionTrack)]
        shots = sum(len(track.shots) for track in tracks)
        began = time.monotonic()
        with tally.work(shots):
            coded = iter(code_tracks(codec, tracks, settings))
        tally.encoded(shots, time.monotonic() - began)
        for letter in letters:
            message = letter.message
            if isinstance(message, SessionTrack):
                message = SessionCoded(message.session, codec.codec_id, codec.profile, next(coded))
            post.send(message, letter.safe)
        post.settle(0.0 if room else BEAT_SECONDS)
