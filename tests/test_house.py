"""The shape of the house: imports point downward, modules stay small, the README tells the truth."""

import ast
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "hypermixer"

#: Each room may import from those before it, and from itself.
ORDER = (
    ("errors", "kinds", "options", "machine", "cores", "whole_file"),
    ("ops",),
    ("mixers",),
    ("encoder_config",),
    ("encoder",),
    ("data",),
    ("inference",),
    ("hf",),
    ("settings", "settings_builder"),
    ("costs",),
    ("report",),
    ("expressivity",),
    ("training",),
    ("classifier",),
    ("convert",),
    ("studies",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
#: The two that hook the package into others' imports.
DOORS = {"__init__", "_auto"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, int]]:
    """Rooms of hypermixer that a module imports, anywhere in it, with the line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hypermixer."):
            found.append((node.module.split(".")[1], node.lineno))
        elif isinstance(node, ast.ImportFrom) and node.module == "hypermixer":
            found += [(alias.name, node.lineno) for alias in node.names if not alias.name.startswith("__")]
        elif isinstance(node, ast.Import):
            found += [(a.name.split(".")[1], node.lineno) for a in node.names if a.name.startswith("hypermixer.")]
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    here = room(path)
    if here in DOORS:
        return
    for other, line in imports(path):
        assert LEVEL[other] <= LEVEL[here], f"{path.relative_to(ROOT)}:{line} imports {other} from {here}"


def test_an_upward_arrow_would_be_seen(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("def f():\n    from hypermixer.cli.app import run\n")
    assert imports(module) == [("cli", 2)] and LEVEL["cli"] > LEVEL["mixers"]


def test_every_room_has_its_level() -> None:
    assert {room(p) for p in MODULES} - DOORS == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_stay_small(path: Path) -> None:
    assert path.read_text().count("\n") <= 300


def test_files_that_the_readme_names_exist() -> None:
    named = re.findall(r"`((?:src|docs|examples)/[\w/.]+)`", (ROOT / "README.md").read_text())
    assert len(named) >= 5
    assert all((ROOT / name).exists() for name in named), named


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def linked(document: Path) -> list[Path]:
    """Files that a Markdown document links to or shows, web addresses and places in itself apart."""
    text = document.read_text()
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)", text) + re.findall(r"""\b(?:src|href)=["']([^"']+)""", text)
    local = [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:|#", target, re.IGNORECASE)]
    return [(document.parent / unquote(re.split("[#?]", target)[0])).resolve() for target in local]


def missing(files: list[Path], there: set[Path]) -> list[Path]:
    """Those that are neither in `there` nor a folder of something in it."""
    folders = {folder for path in there for folder in path.parents}
    return [path for path in files if path not in there | folders]


def test_links_of_the_documents_lead_to_files() -> None:
    files = [path for document in DOCUMENTS for path in linked(document)]
    assert len(files) >= 5
    assert [path for path in files if not path.exists()] == []


def test_links_of_the_documents_lead_to_files_that_git_tracks() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout, to ask what it tracks")
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], check=True, capture_output=True, text=True)
    tracked = {(ROOT / name).resolve() for name in listed.stdout.split("\0") if name}
    assert missing([path for document in DOCUMENTS for path in linked(document)], tracked) == []


def test_a_broken_link_would_be_seen(tmp_path: Path) -> None:
    document = tmp_path / "docs" / "a.md"
    document.parent.mkdir()
    document.write_text(
        '[a](https://b.c/d.md) [b](#here) [mail](mailto:a@b.c) [c](../c+d%20e.md#part) ![d](d.svg "title")\n'
        "[folder](sub/) <img src='e.png'> [![f](f.png)](<g.md>)\n"
    )
    folder = document.parent.resolve()
    expected = [folder.parent / "c+d e.md", *(folder / name for name in ("d.svg", "sub", "f.png", "g.md", "e.png"))]
    assert linked(document) == expected
    there = {folder / name for name in ("sub/h.md", "d.svg", "f.png", "e.png")}
    assert missing(expected, there) == [folder.parent / "c+d e.md", folder / "g.md"]


def test_figures_in_the_documents_are_those_on_disk() -> None:
    readme = pytest.importorskip("benchmarks.readme", reason="benchmarks/ is not beside the tests")
    for document in readme.DOCUMENTS:
        text = document.read_text()
        assert readme.render(text) == text, f"{document.name}: run: python -m benchmarks readme"


def test_the_readmes_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "['good']" in capsys.readouterr().out
    assert (tmp_path / "reviews-model" / "model.safetensors").exists()


def test_options_of_the_readmes_commands_exist() -> None:
    from typer.main import get_command

    from hypermixer.cli.app import app

    commands = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue] - a group of commands
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("hypermixer ")]
    assert len(lines) >= 4
    for line in lines:
        name, *words = line.split()[1:]
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
