"""The report of ``kssl bench`` as one HTML page, and its main figures as one picture.

page.py      puts the page together: headline, plots, tables, what was run
model.py     the report's JSON with types; whatever is null or missing there is None here
headline.py  sentences computed from the figures
plots/       one module for each kind of plot, from the model to SVG
tables.py    the same figures as tables
setup.py     subjects, configurations, machine, commands, notes
picture.py   one SVG for a README
markup.py, svg.py, scale.py, figures.py, look.py   what they share
*.css        palette.css (colours) and plot.css for both, style.css for the page alone
"""

from kssl.bench.html.page import render
from kssl.bench.html.picture import picture

__all__ = ["render", "picture"]
