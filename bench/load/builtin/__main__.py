"""``python -m kssl.bench.load.builtin TASK``, the task as JSON."""

from __future__ import annotations

import contextlib
import gc
import resource
import ssl
import sys

from kssl.bench.load.builtin.kinds import start
from kssl.bench.load.builtin.loop import Loop
from kssl.bench.load.builtin.task import Task
from kssl.bench.load.builtin.window import Window


def main() -> int:
    task = Task.from_json(sys.argv[1])
    _allow_files()
    context = ssl.create_default_context(cafile=task.ca) if task.tls else None
    window = Window(task.connections, task.warm_seconds, task.seconds)
    loop = Loop()
    start(task, loop, context, window)
    gc.disable()  # its pauses would be taken for the proxy's
    try:
        loop.run()
    except (OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print("done", window.result())
    return 0


def _allow_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
