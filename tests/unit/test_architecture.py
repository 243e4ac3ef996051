"""The walls between the rooms, read from the imports themselves."""

import ast
from pathlib import Path

import pytest

import sumwise

PACKAGE = Path(__file__).parents[2] / "src" / "sumwise"

# room -> rooms of ours that it may import; "errors" is open to all
MAY_IMPORT = {
    "errors": set(),
    "threads": set(),
    "printing": {"maths"},
    "kernels": set(),
    "maths": {"kernels"},
    "models": {"maths", "kernels"},
    "loop": set(),
    "disclosure": {"kernels", "maths", "models"},
    "protocol": {"disclosure", "kernels", "loop", "maths", "models"},
    "engines": {"protocol", "threads"},
    "data": {"maths", "kernels"},
    "results": {"data", "maths", "models", "kernels", "printing"},
    "datasets": set(),
    "simulate": set(),
    "fitting": {"data", "engines", "loop", "maths", "models", "results", "threads"},
    "inference": {"data", "engines", "fitting", "loop", "maths", "models", "results", "threads"},
    "studies": {
        "data",
        "disclosure",
        "engines",
        "fitting",
        "kernels",
        "loop",
        "maths",
        "models",
        "protocol",
        "results",
        "threads",
    },
    "api": {"data", "fitting", "results"},
    "sklearn": {"api", "results"},
    "arrays": {"kernels", "maths", "printing", "threads"},
    "demo": {"api", "datasets", "results", "simulate"},
    "cli": {"api", "demo", "disclosure", "engines", "fitting", "printing", "protocol", "results", "studies", ""},
    "__init__": {"api", "arrays", "datasets", "results", "simulate"},
    "__main__": {"cli"},
}
IO_MODULES = {"io", "os", "pathlib", "socket", "subprocess", "urllib", "http", "pandas", "pyarrow", "click"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_room_is_listed() -> None:
    assert {room_of(path) for path in modules()} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_what_its_walls_allow(path: Path) -> None:
    room = room_of(path)
    rooms = {name.split(".")[1] if "." in name else "" for name in imports(path) if name.split(".")[0] == "sumwise"}
    rooms = {name for name in rooms if name in MAY_IMPORT or name == ""}
    allowed = MAY_IMPORT[room] | {room, "errors", ""}
    assert rooms <= allowed, f"{room} imports {sorted(rooms - allowed)}"


@pytest.mark.parametrize("room", ["maths", "models", "loop", "disclosure", "protocol"])
def test_mathematics_does_no_io(room: str) -> None:
    for path in modules():
        if room_of(path) == room:
            outside = {name.split(".")[0] for name in imports(path)}
            assert not outside & IO_MODULES, f"{path} imports {sorted(outside & IO_MODULES)}"


def test_files_stay_small() -> None:
    sizes = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert not {name: n for name, n in sizes.items() if n > 420}


def test_public_names_are_importable() -> None:
    for name in sumwise.__all__:
        assert getattr(sumwise, name) is not None
