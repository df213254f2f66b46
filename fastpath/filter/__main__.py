"""Entry point of the filter's process; see `process`."""

from kssl.fastpath.filter.process import main

if __name__ == "__main__":
    raise SystemExit(main())
