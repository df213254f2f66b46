"""Entry point of the verifier's process; see `process`."""

from fastpath.verifier.process import main

if __name__ == "__main__":
    raise SystemExit(main())
