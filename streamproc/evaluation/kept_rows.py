"""Rows of a measurement, kept as they are finished: a run that was stopped goes on behind the last one."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

Row = TypeVar("Row")


class KeptRows:
    """The finished rows in `folder`, dropped where they were measured under another `key`: other weights, faces or
    limits."""

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self._path = folder / "rows.json"
        self._key = dict(key)
        self._rows: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            kept = _read(self._path)
            if kept.get("key") == self._key:
                self._rows = kept["rows"]

    def row(self, name: str, kind: type[Row], measure: Callable[[], Row]) -> Row:
        """The row called `name`, a dataclass of plain numbers and texts: as kept, or else measured and kept."""
        if name not in self._rows:
            self._rows[name] = asdict(measure())  # type: ignore[call-overload]
            partial = self._path.with_suffix(".partial")
            partial.write_text(json.dumps({"key": self._key, "rows": self._rows}, indent=1), encoding="utf-8")
            partial.replace(self._path)
        return kind(**self._rows[name])


def _read(path: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return kept


def write_csv(path: Path, rows: Iterable[Any], kind: type) -> Path:
    """`path`: a line a dataclass of `kind`, its fields as columns."""
    names = [field.name for field in fields(kind)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([getattr(row, name) for name in names] for row in rows)
    return path
