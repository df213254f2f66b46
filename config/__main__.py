"""``python -m kssl.config [parameters|schema]`` prints docs/parameters.md or
docs/kssl.schema.json."""

import argparse

from kssl.config.document.schema import as_json
from kssl.config.markdown import as_markdown

PAGES = {"parameters": as_markdown, "schema": as_json}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m kssl.config", description=__doc__)
    parser.add_argument("page", nargs="?", choices=PAGES, default="parameters")
    print(PAGES[parser.parse_args().page](), end="")
