"""Entry point of the worker's process; see `process`."""

from kssl.fastpath.worker.process import main

if __name__ == "__main__":
    raise SystemExit(main())
