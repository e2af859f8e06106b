"""Two trees side by side; the worktree never stays behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.compare import UnknownRevision, WorkerFailed, requests, worktree

from benchmarks import compare

LAYER = """
import torch
__version__ = "0"
class HyperMixing(torch.nn.Module):
    def __init__(self, d_model, d_hidden, num_heads, *, tied):
        super().__init__()
        self.linear = torch.nn.Linear(d_model, d_model)
    def forward(self, x):
        for _ in range({repeats}):
            y = self.linear(x)
        return y
"""


def git(root: Path, *words: str) -> str:
    names = {f"GIT_{who}_{what}": "someone" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(
        ["git", "-C", str(root), *words], check=True, capture_output=True, text=True, env=os.environ | names
    ).stdout


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose first revision computes everything twenty times."""
    root = tmp_path / "repository"
    package = root / "src" / "hypermixer"
    package.mkdir(parents=True)
    git(root, "init", "-q")
    for repeats in (20, 1):
        (package / "__init__.py").write_text(LAYER.format(repeats=repeats))
        git(root, "add", ".")
        git(root, "commit", "-q", "-m", "a revision")
    return root


def trees(root: Path) -> int:
    return len(git(root, "worktree", "list").splitlines())


def test_a_worktree_holds_the_revision_and_goes(root: Path) -> None:
    with worktree("HEAD~1", root) as tree:
        assert "range(20)" in (tree / "src/hypermixer/__init__.py").read_text()
        assert trees(root) == 2
    assert not tree.exists() and trees(root) == 1


def test_a_worktree_goes_when_the_work_fails(root: Path) -> None:
    with pytest.raises(ZeroDivisionError), worktree("HEAD", root) as tree:
        raise ZeroDivisionError
    assert not tree.exists() and trees(root) == 1


@pytest.mark.parametrize("revision", ["nothing-like-it", "--help", ""])
def test_an_unknown_revision_is_one_sentence(root: Path, revision: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownRevision), worktree(revision, root):
        pass
    assert compare.run(revision, "float32", [4], 1, root=root) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and f"'{revision}'" in said.err
    assert trees(root) == 1


@pytest.mark.parametrize(
    "stderr, reason", [("", "128 and gave no reason."), ("\n", "no reason."), ("a\nfull\n", "full")]
)
def test_a_checkout_that_fails_says_why(
    root: Path, stderr: str, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_git = compare._git

    def fails(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.CompletedProcess(words, 128, "", stderr) if "add" in words else run_git(root, *words)

    monkeypatch.setattr(compare, "_git", fails)
    assert compare.run("HEAD~1", "float32", [4], 1, root=root) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("Git could not check out 'HEAD~1': ")
    assert said.err.endswith(f"{reason}\n") and said.err.count("\n") == 1 and trees(root) == 1


def test_the_newer_tree_is_seen_to_be_faster(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "PASSES", ("forward",))
    monkeypatch.setattr(compare, "HEADS", (1,))
    assert compare.run("HEAD~1", "float32", [64], 1, root=root, tokens=512) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert len(lines) == 2 and all(float(line.split()[6]) > 3 for line in lines), lines
    assert trees(root) == 1


def test_a_tree_that_cannot_be_imported_fails_the_run(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "src/hypermixer/__init__.py").write_text("raise RuntimeError('broken on purpose')\n")
    assert compare.run("HEAD", "float32", [4], 1, root=root) == 1
    assert "broken on purpose" in capfd.readouterr().err and trees(root) == 1


def test_another_package_is_not_measured_in_a_trees_name(tmp_path: Path) -> None:
    with pytest.raises(WorkerFailed, match="another one"), compare.worker(tmp_path, "float32", 1):
        pass


def test_the_rows_are_those_of_run() -> None:
    rows = requests([32, 16_384])
    assert len(rows) == 2 * 2 * 2 * 2
    assert {row["batch"] for row in rows} == {256, 1}


def test_the_command_exits_with_two(root: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "compare", "no-such-revision", "--lengths", "4"]
    done = subprocess.run(command, cwd=compare.ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("Git knows no revision 'no-such-revision'")
