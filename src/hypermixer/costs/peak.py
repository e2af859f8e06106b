"""Peak memory of one training step beyond the classifier itself: gradients, AdamW's moments, activations, scratch.

On a CPU it is the high-water mark of resident memory, each in a process of its own, so that neither what was freed
before nor the reserve of the C library counts; `python -m hypermixer.costs.peak` reads the requests from standard input
and forks for each one before PyTorch has started any thread. Running out of memory there kills that fork alone.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from hypermixer.costs.contender import Contender, Stepper, memory_ran_out, random_batch
from hypermixer.errors import WorkError

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: Exit status of a fork whose memory ran out; one that the system killed for it has SIGKILL's.
_RAN_OUT, _KILLED = 3, -9


@dataclass(frozen=True)
class Request:
    """One training step: of which classifier, on `rows` texts of `length` tokens."""

    contender: Contender
    rows: int
    length: int
    vocab_size: int
    num_labels: int
    bf16: bool


@dataclass(frozen=True)
class Peak:
    """Bytes beyond the parameters; None where the system does not tell (no /proc), or where memory ran out."""

    bytes: int | None
    out_of_memory: bool = False


def peaks(requests: Sequence[Request], device: torch.device) -> list[Peak]:
    """The peak of each request, in order.

    Raises:
        WorkError: the process that measures failed for another reason than memory.
    """
    if device.type == "cuda":
        return [_peak_on_gpu(request, device) for request in requests]
    if not _STATUS.exists():
        return [Peak(None)] * len(requests)
    told = {"threads": torch.get_num_threads(), "requests": [asdict(request) for request in requests]}
    done = subprocess.run(
        [sys.executable, "-m", "hypermixer.costs.peak"], input=json.dumps(told), capture_output=True, text=True
    )
    if done.returncode:
        words = done.stderr.strip().splitlines()
        raise WorkError(f"Peak memory could not be measured: {words[-1] if words else f'exit {done.returncode}'}.")
    return [Peak(**json.loads(line)) for line in done.stdout.splitlines()]


def _peak_on_gpu(request: Request, device: torch.device) -> Peak:
    try:
        stepper, batch = _prepared(request, device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        stepper.step(batch)
        return Peak(torch.cuda.max_memory_allocated(device) - before)
    except (RuntimeError, MemoryError) as error:
        if not memory_ran_out(error):
            raise
        return Peak(None, out_of_memory=True)
    finally:
        torch.cuda.empty_cache()


def _peak_of_process(request: Request) -> int:
    """Of this process, which has run nothing before."""
    stepper, batch = _prepared(request, torch.device("cpu"))
    _RESET.write_text("5")  # the mark comes down to what is resident now
    before = _status("VmRSS")
    stepper.step(batch)
    return _status("VmHWM") - before


def _prepared(request: Request, device: torch.device) -> tuple[Stepper, dict[str, Any]]:
    """The classifier, which has met one short text: the code of its kernels is loaded, and no table is missing."""
    sizes: dict[str, Any] = {"vocab_size": request.vocab_size, "num_labels": request.num_labels, "device": device}
    stepper = Stepper(request.contender, bf16=request.bf16, **sizes)
    stepper.forward(random_batch(1, 1, **sizes))
    return stepper, random_batch(request.rows, request.length, **sizes)


def _status(name: str) -> int:
    """Bytes, of a line such as `VmHWM:  123 kB`."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])


def _forked(request: Request) -> Peak:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writing, str(_peak_of_process(request)).encode())
            status = 0
        except (RuntimeError, MemoryError) as error:
            status = _RAN_OUT if memory_ran_out(error) else 1
            if status == 1:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status in (_RAN_OUT, _KILLED):
        return Peak(None, out_of_memory=True)
    if status:
        sys.exit(abs(status))
    return Peak(int(told))


def main() -> None:
    """Requests as JSON from standard input; a `Peak` a line to standard output."""
    told = json.load(sys.stdin)
    torch.set_num_threads(told["threads"])
    for request in told["requests"]:
        peak = _forked(Request(**{**request, "contender": Contender(**request["contender"])}))
        sys.stdout.write(json.dumps(asdict(peak)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
