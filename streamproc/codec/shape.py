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
