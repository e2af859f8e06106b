"""How many threads a process may use: processors, quotas of control groups as Linux writes them, OMP_NUM_THREADS."""

import os
from pathlib import Path

import pytest

from hypermixer.cores import limits

GRANTED = "that its control group grants"
ASKED = "that OMP_NUM_THREADS allows"


@pytest.fixture(autouse=True)
def not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def granted(root: Path, groups: str, **files: str) -> int | None:
    """The quota of a process in these groups, with files under the mount, `/` written as `__`."""
    for name, text in files.items():
        path = root / "mount" / name.replace("__", "/").replace("cpu_max", "cpu.max").replace("cfs", "cpu.cfs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "groups").write_text(groups)
    return limits(root / "groups", root / "mount").get(GRANTED)


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("200000 100000\n", 2), ("150000 100000\n", 2), ("50000 100000\n", 1), ("400001 100000\n", 5),
        ("max 100000\n", None), ("", None), ("0 100000\n", None), ("nonsense\n", None),
    ],
)  # fmt: skip
def test_version_2(tmp_path: Path, text: str, cores: int | None) -> None:
    assert granted(tmp_path, "0::/\n", cpu_max=text) == cores


def test_the_narrowest_group_counts(tmp_path: Path) -> None:
    files = {"a__cpu_max": "200000 100000", "a__b__cpu_max": "max 100000", "cpu_max": "700000 100000"}
    assert granted(tmp_path, "0::/a/b\n", **files) == 2
    assert granted(tmp_path, "0::/of/the/host\n", **files) == 7  # as a container sees itself


def test_version_1(tmp_path: Path) -> None:
    files = {"cpu,cpuacct__x__cfs_quota_us": "250000\n", "cpu,cpuacct__x__cfs_period_us": "100000\n"}
    files |= {"cpu,cpuacct__cfs_quota_us": "-1\n", "cpu,cpuacct__cfs_period_us": "100000\n"}
    assert granted(tmp_path, "7:memory:/x\n4:cpu,cpuacct:/x\n", **files) == 3
    assert granted(tmp_path, "4:cpu,cpuacct:/\n2:cpuset:/x\n1:name=systemd:/x\n", **files) is None


def test_no_control_groups(tmp_path: Path) -> None:
    found = limits(tmp_path / "none", tmp_path / "none")
    assert list(found) == ["that this process may run on"] and min(found.values()) >= 1


@pytest.mark.skipif(os.name != "posix" or not Path("/proc/self").exists(), reason="needs a system that binds processes")
def test_processors_that_it_is_bound_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7})
    assert limits(tmp_path, tmp_path) == {"that this process may run on": 3}
    monkeypatch.delattr(os, "sched_getaffinity")
    assert limits(tmp_path, tmp_path) == {"that this process may run on": 64}


@pytest.mark.parametrize(
    ("text", "cores"),
    [("3", 3), (" 3 ", 3), ("3,2", 3), ("0", None), ("-1", None), ("", None), ("many", None)],
)
def test_what_was_asked_for(monkeypatch: pytest.MonkeyPatch, text: str, cores: int | None) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert limits().get(ASKED) == cores
