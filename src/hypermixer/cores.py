"""How many threads a process may use in all, and who says so."""

import os
from collections.abc import Iterator
from pathlib import Path


def cores() -> int:
    """How many threads this process and its workers may use in all: the least of `limits`."""
    return min(limits().values())


def limits(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> dict[str, int]:
    """What limits the number of threads, by words to stand behind "the cores".

    Args:
        groups: which control groups this process is in, as Linux tells it; need not be there.
        root: where control groups are mounted.
    """
    bound = getattr(os, "sched_getaffinity", None)  # not on every system
    found = {"that this process may run on": os.cpu_count() or 1 if bound is None else len(bound(0))}
    if quotas := list(_quotas(groups, root)):
        found["that its control group grants"] = min(quotas)
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # one number for each level of nesting
    if wanted.isdecimal() and int(wanted):
        found["that OMP_NUM_THREADS allows"] = int(wanted)
    return found


def _quotas(groups: Path, root: Path) -> Iterator[int]:
    """Cores that the control groups of this process grant, of version 2 and 1, each rounded up to a whole core."""
    for line in _text(groups).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / controllers if controllers else root
        place = mount / path.lstrip("/")
        # In a container the path may be the host's, and its own group stands at the root.
        for group in [place, *place.parents][: len(place.relative_to(mount).parts) + 1]:
            if controllers:
                words = [_text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
            else:
                words = _text(group / "cpu.max").split()
            if len(words) == 2 and all(word.isdecimal() and int(word) for word in words):
                yield -(-int(words[0]) // int(words[1]))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
