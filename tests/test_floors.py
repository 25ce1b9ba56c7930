"""The rooms import downwards only: read from the import statements themselves, lazy ones too."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GROUND = {"streamproc.types", "streamproc.errors", "streamproc.config"}
NETS = GROUND | {"streamproc.inference"}

# What each room may import of ours. A room is the longest prefix of a module's name.
MAY: dict[str, set[str]] = {
    "streamproc.types": set(),
    "streamproc.errors": set(),
    "streamproc.config": {"streamproc.errors", "streamproc.types"},
    "streamproc.inference": GROUND,
    "streamproc.media": GROUND,
    "streamproc.faces": NETS,
    "streamproc.codec": NETS,
    "storage": GROUND,
    "streamproc.query": GROUND | {"streamproc.codec"},
    "streamproc.training": NETS | {"streamproc.faces", "streamproc.codec", "streamproc.media"},
    # Competitors are trained on training's faces, and by its loop.
    "streamproc.evaluation": NETS | {"streamproc.faces", "streamproc.codec", "streamproc.media", "streamproc.training"},
    "streamproc": GROUND | {"streamproc.faces", "streamproc.codec"},
    "pipelines": GROUND
    | {f"streamproc.{room}" for room in ("media", "faces", "codec", "query", "training", "evaluation")}
    | {"streamproc", "storage"},
    "run_pipeline": {"pipelines.cli"},
}

# Libraries that belong to one place: who may import them.
ONLY: dict[str, set[str]] = {
    "av": {"streamproc.media", "streamproc.codec"},
    "sqlalchemy": {"storage"},
    "alembic": {"storage"},
    "multiprocessing": {"pipelines"},
    "torch": {
        "streamproc.inference",
        "streamproc.faces",
        "streamproc.codec",
        "streamproc.training",
        "streamproc.evaluation",
    },
    "openvino": {"streamproc.inference"},
    "typer": {"pipelines"},
    "norfair": {"streamproc.faces"},
    "facenet_pytorch": {"streamproc.faces", "streamproc.codec", "streamproc.training", "streamproc.evaluation"},
    "faiss": {"streamproc.evaluation", "pipelines"},
    "matplotlib": {"streamproc.evaluation"},
    "bjontegaard": {"streamproc.evaluation"},
    "pytorch_msssim": {"streamproc.codec"},
    "compressai": {"streamproc.codec", "streamproc.training", "streamproc.evaluation"},
}

# Modules that run in processes which must start at once: nothing that they import at their top may lead to torch.
LIGHT = [
    "pipelines.batch",
    "pipelines.capture",
    "pipelines.archive",
    "pipelines.detect",
    "pipelines.encode",
    "pipelines.worker",
    "pipelines.service",
    "pipelines.known_face",
    "pipelines.cli.app",
    "streamproc.faces.finder",
    "streamproc.faces.track",
    "streamproc.codec.trunk",
]


def _modules() -> dict[str, Path]:
    files = [ROOT / "run_pipeline.py"]
    for room in ("streamproc", "storage", "pipelines"):
        files += sorted((ROOT / room).rglob("*.py"))
    return {_name(path): path for path in files}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = _modules()


def _imports(tree: ast.AST) -> Iterator[str]:
    """Full names of what is imported; `from a import b` gives `a.b` where that is a module of ours, else `a`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def _room(module: str, rooms: Iterable[str]) -> str | None:
    found = [room for room in rooms if module == room or module.startswith(f"{room}.")]
    return max(found, key=len, default=None)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module: str) -> None:
    room = _room(module, MAY)
    assert room is not None, f"{module} is in no room that this test knows: say what it may import"
    for imported in _imports(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        there = _room(imported, MAY)
        if there is not None and there != room:
            assert _room(imported, MAY[room]), f"{module} may not import {imported}"
        library = imported.split(".")[0]
        if library in ONLY:
            assert room in ONLY[library], f"{module} may not import {library}: that is for {sorted(ONLY[library])}"


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_do_not_lead_to_torch(module: str) -> None:
    """Followed through the imports at the top of our modules; TYPE_CHECKING blocks and functions do not count."""
    waiting, seen = [module], {module}
    while waiting:
        current = waiting.pop()
        tree = ast.parse(MODULES[current].read_text(encoding="utf-8"))
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        for imported in _imports(top):
            assert imported.split(".")[0] not in ("torch", "torchvision", "facenet_pytorch"), f"{module}: {current}"
            parents = [".".join(imported.split(".")[:n]) for n in range(1, imported.count(".") + 2)]
            new = {name for name in parents if name in MODULES} - seen
            seen |= new
            waiting += new


def test_rooms_are_there() -> None:
    """A check of the check: it sees the rooms, and would see a wrong import."""
    assert {_room(module, MAY) for module in MODULES} >= set(MAY) - {"streamproc"}
    assert list(_imports(ast.parse("def f():\n    from storage import archive"))) == ["storage.archive"]
