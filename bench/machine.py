"""What a reader must know of the machine to compare figures."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import ssl
import sys
from pathlib import Path

_PACKAGES = ("kssl", "cryptography", "pyOpenSSL", "uvloop", "httptools", "h11")


def describe() -> dict[str, object]:
    """Hardware, kernel, interpreter and packages."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "openssl_of_python": ssl.OPENSSL_VERSION,
        "packages": {name: package_version(name) for name in _PACKAGES},
    }


def package_version(name: str) -> str | None:
    """Of an installed distribution."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_model(path: Path = Path("/proc/cpuinfo")) -> str:
    """As the processor calls itself."""
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
