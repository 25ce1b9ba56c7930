"""The weights of an archive's codecs, as far as they are on this machine. Importing it loads torch."""

from storage import Archive
from streamproc.codec.face_codec import FaceCodec
from streamproc.codec.profiles import shipped_folder, stated_codec
from streamproc.config import Settings
from streamproc.errors import WeightsError


class WeightsAtHand:
    """Codecs by what the archive calls them, each loaded once: those of the settings, of upgrades, and shipped ones."""

    def __init__(self, archive: Archive, settings: Settings) -> None:
        self._archive, self._settings = archive, settings
        self._codecs: dict[str, FaceCodec | None] = {}

    def codec(self, codec_id: str) -> FaceCodec | None:
        """The codec; None where its weights are not at hand."""
        if codec_id not in self._codecs:
            self._codecs[codec_id] = self._loaded(codec_id)
        return self._codecs[codec_id]

    def required(self, codec_id: str) -> FaceCodec:
        """The codec; WeightsError where its weights are not at hand."""
        found = self.codec(codec_id)
        if found is None:
            raise WeightsError(
                f"The weights that wrote faces of this archive ({codec_id}) are not at hand: put their file back, or "
                "name it as encode.profile of the settings."
            )
        return found

    def _loaded(self, codec_id: str) -> FaceCodec | None:
        names = [self._settings.encode.profile]
        names += [name for one in self._archive.recodings.all() for name in (one.weights, one.replaces)]
        names += sorted(path.stem for path in shipped_folder().glob("*.safetensors"))
        for name in dict.fromkeys(names):
            try:
                if stated_codec(name).codec_id == codec_id:
                    return FaceCodec.load(name, self._settings.encode.device)
            except WeightsError:  # moved away since, or damaged: as good as not there
                continue
        return None
