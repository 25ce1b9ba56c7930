"""Which codecs there are, told from their files without loading torch."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from safetensors import SafetensorError, safe_open

from streamproc.errors import WeightsError


@dataclass(frozen=True, slots=True)
class CodecName:
    """What a weights file says that it is; whoever loads it compares `codec_id` with the hash of what is in it."""

    codec_id: str
    profile: str


def shipped_folder() -> Path:
    """Where the profiles that come with streamproc lie."""
    return Path(str(files("streamproc.codec"))) / "weights"


def profile_path(profile: str) -> Path:
    """The shipped file of a profile, or `profile` itself when it is a .safetensors file; WeightsError for neither."""
    path = Path(profile) if profile.endswith(".safetensors") else shipped_folder() / f"{profile}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in shipped_folder().glob("*.safetensors"))) or "none"
        raise WeightsError(f"There is no codec '{profile}': give a .safetensors file or one of the profiles ({known}).")
    return path


def stated_codec(profile: str) -> CodecName:
    """The codec that a shipped profile's name, or a .safetensors file, stands for. Raises WeightsError."""
    path = profile_path(profile)
    try:
        with safe_open(path, framework="numpy") as file:
            said = file.metadata() or {}
        return CodecName(said["codec_id"], said["profile"])
    except (SafetensorError, KeyError, OSError) as error:
        raise WeightsError(f"{path} is no codec of streamproc, or it is damaged ({error}): fetch it again.") from error
