"""Acts of users as an archive keeps them: text that any later version reads, and identities' names."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol

from pydantic import TypeAdapter

from streamproc.errors import ArchiveError
from streamproc.query.acts import Act, Entry, Erased, Ignored, Merged, Named, Split, Undone

_KINDS: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(kind)
    for name, kind in (
        ("named", Named),
        ("ignored", Ignored),
        ("merged", Merged),
        ("split", Split),
        ("undone", Undone),
        ("erased", Erased),
    )
}
_ID = re.compile(r"p([1-9]\d{0,17})", re.ASCII)


class ActRow(Protocol):
    """An act as an archive holds it; `storage.ActRecord` is one."""

    @property
    def number(self) -> int:
        """Its place in the log."""
        ...

    @property
    def at(self) -> datetime:
        """When it was done, UTC."""
        ...

    @property
    def by(self) -> str:
        """Who did it."""
        ...

    @property
    def act(self) -> str:
        """What `encoded` made of it."""
        ...


def encoded(act: Act) -> str:
    """The act as text."""
    return json.dumps({"kind": type(act).__name__.lower(), **asdict(act)})


def entries(rows: Iterable[ActRow]) -> list[Entry]:
    """The log of an archive. Raises ArchiveError for an act that this version does not know."""
    return [Entry(row.number, row.at, row.by, _decoded(row)) for row in rows]


def _decoded(row: ActRow) -> Act:
    try:
        fields = json.loads(row.act)
        act: Act = _KINDS[fields.pop("kind")].validate_python(fields)
        return act
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArchiveError(
            f"Act {row.number} on identities cannot be read: it is damaged, or of a newer streamproc; use that one."
        ) from error


def identity_id(number: int) -> str:
    """The name by which the outside knows an identity."""
    return f"p{number}"


def identity_number(name: str) -> int | None:
    """The identity of that name; None for what is no identity's name."""
    found = _ID.fullmatch(name)
    return int(found[1]) if found else None


def told(act: Act) -> str:
    """The act for people."""
    match act:
        case Named(identity, None):
            return f"{identity_id(identity)} has no name"
        case Named(identity, name):
            return f"{identity_id(identity)} is {name}"
        case Ignored(identity, ignored):
            return f"{identity_id(identity)} is of {'no ' if ignored else ''}interest"
        case Merged(into, others):
            return f"{', '.join(identity_id(other) for other in others)} is {identity_id(into)}"
        case Split(identity, new, tracks):
            return f"of {identity_id(identity)}, {', '.join(tracks)} is {identity_id(new)}"
        case Undone(number):
            return f"act {number} is taken back"
        case Erased(identities):
            return f"{', '.join(map(identity_id, identities)) or 'tracks'} erased"
