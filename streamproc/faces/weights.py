"""Whether MTCNN's trained nets, which facenet-pytorch brings, are those that faces are found with."""

import hashlib

from streamproc.errors import WeightsError
from streamproc.faces.mtcnn import weights_path

KNOWN = {
    "pnet": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}
"""SHA-256 of the files in facenet-pytorch 2.5.3."""


def require_known_nets() -> None:
    """Nothing; raises WeightsError where a net is missing or another one."""
    for name, known in KNOWN.items():
        path = weights_path(name)
        if hashlib.sha256(path.read_bytes()).hexdigest() != known:
            raise WeightsError(f"{path} is not the net that it was: install facenet-pytorch again.")
