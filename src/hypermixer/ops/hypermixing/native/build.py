"""Compiles the C++ of this folder for the processor at hand, once, and keeps the library in the user's cache.

It needs nothing of Python or PyTorch: a C interface, loaded with ctypes. OpenMP's threads are PyTorch's own.
"""

import atexit
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FLAGS = (
    "-O3", "-march=native", "-ffp-contract=fast", "-std=c++17", "-fvisibility=hidden", "-fPIC", "-fopenmp", "-shared",
)  # fmt: skip
COMPILERS = ("g++", "clang++", "c++")
#: Seconds after which a compiler is given up.
PATIENCE = 120


class NotBuilt(Exception):
    """Why there is no library, in one clause."""


def library() -> ctypes.CDLL:
    """The compiled kernels.

    Raises:
        NotBuilt: switched off, no compiler, or it failed.
    """
    if os.environ.get("HYPERMIXER_NATIVE") == "0":
        raise NotBuilt("HYPERMIXER_NATIVE=0 switches the compiled kernels off")
    try:
        return _library(find_compiler())
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # no home, no right, no program, no answer
        raise NotBuilt(f"the compiled kernels cannot be made or read ({error})") from None


def _library(compiler: list[str]) -> ctypes.CDLL:
    path = cache_folder() / f"mixing-{fingerprint(compiler)}.so"
    if path.exists():
        try:
            return ctypes.CDLL(str(path))
        except OSError:  # cut off or spoilt: made anew
            path.unlink(missing_ok=True)
    return ctypes.CDLL(str(build(compiler, path)))


def find_compiler() -> list[str]:
    """The command in $CXX, or the first of `COMPILERS` that is there."""
    wanted = shlex.split(os.environ.get("CXX", ""))
    for command in [wanted] if wanted else [[name] for name in COMPILERS]:
        if (path := shutil.which(command[0])) is not None:
            return [path, *command[1:]]
    raise NotBuilt(f"there is no C++ compiler here ({' '.join(wanted) or ', '.join(COMPILERS)})")


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hypermixer"


def fingerprint(compiler: list[str]) -> str:
    """Of everything that the library depends on: sources, flags, compiler and processor."""
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for source in sorted([*HERE.glob("*.h"), *HERE.glob("*.cpp")]):
        digest.update(source.name.encode() + source.read_bytes())
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=False, timeout=PATIENCE)
    digest.update(version.stdout + " ".join(compiler).encode() + processor().encode())
    return digest.hexdigest()[:16]


def processor() -> str:
    """What `-march=native` looks at."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.platform() + platform.processor()
    kinds = ("vendor_id", "cpu family", "model\t", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def build(compiler: list[str], path: Path) -> Path:
    """Compiles to `path`, or to a folder of this process where the cache cannot be written."""
    sys.stderr.write("Compiling hypermixer's kernels for this processor, once (about ten seconds) ...\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".building-", dir=path.parent)
    except OSError:
        folder = tempfile.mkdtemp(prefix="hypermixer-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder) / path.name
    made = Path(folder) / "new.so"
    try:
        command = [*compiler, *FLAGS, str(HERE / "mixing.cpp"), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise NotBuilt(f"{Path(compiler[0]).name} did not run ({error})") from None
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        complaint = next((line for line in done.stderr.splitlines() if "error" in line), f"exit {done.returncode}")
        raise NotBuilt(f"{Path(compiler[0]).name} cannot compile the kernels ({complaint.strip()})")
    made.replace(path)  # whole or not at all, whoever else is building
    if Path(folder) != path.parent:
        shutil.rmtree(folder, ignore_errors=True)
    return path
