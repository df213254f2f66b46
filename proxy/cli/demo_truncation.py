"""`kssl demo truncation`: a truncation attack with real clients, and what stops it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from kssl.config.errors import ConfigError, reason
from kssl.proxy.cli.ending import orderly_end

_WIDTH = 100  # columns, where the output is no terminal


def run(arguments: argparse.Namespace) -> int:
    # Imported here: no other subcommand should pay for it at its start.
    from kssl.proxy.demo.truncation import picture
    from kssl.proxy.demo.truncation import run as demonstration
    from kssl.proxy.demo.truncation.render import as_json, diagram, svg, table

    modes = demonstration.MODES if arguments.mode is None else (arguments.mode,)
    with orderly_end():
        result = demonstration.run(modes)
    pictures = picture.pictures(result.rows)
    if arguments.json:
        print(json.dumps(as_json.to_json(result), indent=1))
    else:
        width = shutil.get_terminal_size((_WIDTH, 24)).columns
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print(table.render(result, width=width, colour=colour))
        print(diagram.render(pictures))
        print(table.verdict(result), end="")
    if arguments.svg is not None:  # last, so that nothing is lost if it cannot be written
        _write(arguments.svg, svg.render(pictures))
    return result.exit_status


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--svg: cannot write {path}: {reason(error)}") from None
