"""``python -m kssl.proxy`` is ``kssl``."""

from kssl.proxy.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
