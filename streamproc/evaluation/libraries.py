"""Libraries that only evaluation needs, imported when they are needed."""

import importlib
from typing import Any

from streamproc.errors import MissingLibrary


def library(name: str) -> Any:
    """The module `name`; raises MissingLibrary, which says what to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        top = name.split(".")[0]
        raise MissingLibrary(f"evaluation needs the library {top}: run pip install 'streamproc[evaluation]'") from error
