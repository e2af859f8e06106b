"""What a figure was measured on: processor, threads, versions. Every row on disk carries it."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "numpy")


def machine(device: str = "cpu") -> dict[str, Any]:
    """Device name, cores, threads and versions, as plain values for JSON."""
    import torch

    accelerator = torch.device(device)
    name = torch.cuda.get_device_name(accelerator) if accelerator.type == "cuda" else processor()
    return {
        "device": name,
        "slug": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def processor() -> str:
    """The processor's own name where the system tells it, its architecture otherwise."""
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor() or platform.machine()
