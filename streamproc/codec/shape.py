"""Sizes of the codec's parts."""

from dataclasses import asdict, dataclass

LATENT_LIMIT = 20
"""Latents of the base layer are clipped to +-20 (paper, III-B)."""
PICTURE_SIDE = 64
"""Side of the picture that the base layer speaks of; the finer levels only smooth it."""
LATENT_STRIDE = 16
HYPER_STRIDE = 64
"""Pixels of the crop to one place of the enhancement's latent and of its hyper-latent."""


@dataclass(frozen=True, slots=True)
class CodecShape:
    """Enough, with the weights, to build the nets again."""

    identity: int = 128
    identity_latents: int = 64
    appearance_latents: int = 128
    channels: int = 64
    residual_latents: int = 96
    qualities: int = 5

    @property
    def base_latents(self) -> int:
        """How many symbols a base layer has."""
        return self.identity_latents + self.appearance_latents

    def as_dict(self) -> dict[str, int]:
        """The sizes by name."""
        return asdict(self)

    @property
    def split(self) -> bool:
        """Whether the base layer has appearance latents beside identity. Without them all comes from one multi-task
        feature, as in the paper: the picture, too, and the enhancement is told nothing but it."""
        return self.appearance_latents > 0


SHAPES = {"default": CodecShape(), "paper": CodecShape(identity_latents=128, appearance_latents=0)}
"""The profiles that come with streamproc."""
