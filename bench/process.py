"""Server programs of others: started, waited for, and ended with all that they have started."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kssl.bench.errors import BenchError
from kssl.bench.proc import children

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_PROBE_SECONDS = 2.0

# Debian has daemons in folders that are not on everybody's PATH.
_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin")

# 10,000 clients with an upstream connection each, and as much again: stunnel, for one, takes 125
# clients for 256 files.
_OPEN_FILES = 65536


def find_program(name: str) -> str | None:
    """The path of a program, or None where there is none."""
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(_FOLDERS))


def output_of(*command: str) -> str:
    """What a program prints of itself, such as its version, on either stream."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_START_SECONDS,
    )
    return done.stdout


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def open_files() -> int:
    """How many files each program that we start may have open."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    folder: Path,
    port: int,
    *,
    tls: bool,
    processes: int = 1,
    environment: Mapping[str, str] | None = None,
) -> Iterator[list[int]]:
    """The pids of the program and of all that it has started, once it accepts.

    ``folder`` is where it runs and what it says is kept; ``processes`` is how many it is at
    least when it is complete. Raises BenchError when it does not come so far.
    """
    said = folder / "said.txt"
    with said.open("wb") as output, _files_allowed():
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            # Ctrl-C in the terminal is for the benchmark, which ends its programs in order.
            process_group=0,
        )
    try:
        _wait_until_it_accepts(name, process, port, said, tls=tls, processes=processes)
        yield [process.pid, *_descendants(process.pid)]
    finally:
        _end(process)


def _wait_until_it_accepts(
    name: str, process: subprocess.Popen[bytes], port: int, said: Path, *, tls: bool, processes: int
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    # Some listen first and start their workers then.
    while 1 + len(_descendants(process.pid)) < processes or not _accepts(port, tls):
        if process.poll() is not None:
            problem = f"ended with exit code {process.returncode}"
        elif time.monotonic() > deadline:
            problem = f"does not accept after {_START_SECONDS:.0f} s"
        else:
            time.sleep(0.01)
            continue
        raise BenchError(f"{name} {problem}: {said.read_text(errors='replace').strip()}")


def _accepts(port: int, tls: bool) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_PROBE_SECONDS) as plain:
            if tls:
                # The kernel takes connections before the program does; a handshake is its own.
                # Who is there does not matter yet: what it serves is looked at by a client that
                # verifies.
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                context.wrap_socket(plain, server_hostname="localhost").close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _files_allowed() -> Iterator[None]:
    """What is started within may have `open_files` open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files(), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _descendants(pid: int) -> list[int]:
    """All living processes below ``pid``."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in children(pid):
            found += [child, *_descendants(child)]
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the program and what it has started: asks first, and kills what does not listen."""
    with contextlib.ExitStack() as stack:
        # A handle stays with its process when its parent has gone and its pid is another's.
        handles = []
        for pid in _descendants(process.pid):
            with contextlib.suppress(ProcessLookupError):
                handles.append(os.pidfd_open(pid))
                stack.callback(os.close, handles[-1])
        deadline = time.monotonic() + _STOP_SECONDS
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for handle in handles:
            if not _has_ended(handle, deadline - time.monotonic()):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                _has_ended(handle, _STOP_SECONDS)


def _has_ended(handle: int, seconds: float) -> bool:
    watch = select.poll()
    watch.register(handle, select.POLLIN)
    return bool(watch.poll(max(0.0, seconds) * 1000))
