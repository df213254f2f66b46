"""Entry point of the verifier's process; see `process`."""

from kssl.fastpath.verifier.process import main

if __name__ == "__main__":
    raise SystemExit(main())
