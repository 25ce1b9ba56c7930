"""The one line of a settings file that says which weights are in use."""

import os
import re
import shutil
from pathlib import Path

from streamproc.config import load
from streamproc.errors import ConfigError


def set_profile(path: Path, profile: str) -> None:
    """Nothing; the file says `encode.profile: PROFILE`, and all else of it is as it was, comments too.

    ConfigError, and the file untouched, where that cannot be done.
    """
    before = load(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    new = path.with_name(f"{path.name}.new")
    new.write_text("\n".join(_with_profile(lines, profile)) + "\n", encoding="utf-8")
    try:
        wanted = before.model_copy(update={"encode": before.encode.model_copy(update={"profile": profile})})
        if load(new) != wanted:
            raise ConfigError(f"{path} is written in a way that is not changed here: set encode.profile to {profile}.")
        shutil.copymode(path, new)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def _with_profile(lines: list[str], profile: str) -> list[str]:
    """The lines, the profile in its place."""
    starts = [k for k, line in enumerate(lines) if re.match(r"encode:\s*(#.*)?$", line)]
    if not starts:
        return [*lines, "encode:", f"  profile: {profile}"]
    start = starts[0] + 1
    own = range(start, next((k for k in range(start, len(lines)) if re.match(r"[^\s#]", lines[k])), len(lines)))
    for k in own:
        found = re.match(r"(\s+profile:\s*)[^#\s]+(.*)$", lines[k])
        if found:
            return [*lines[:k], f"{found[1]}{profile}{found[2]}", *lines[k + 1 :]]
    indent = next((found[0] for k in own if (found := re.match(r"\s+(?=[^\s#])", lines[k]))), "  ")
    return [*lines[:start], f"{indent}profile: {profile}", *lines[start:]]
