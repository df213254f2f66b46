"""From raw rounds to what is shown.

stats.py   medians with their spread, ratios with their interval
shape.py   the report as JSON, schema "kssl-bench/1"; docs/benchmarks.md describes it
text.py    the report for the terminal, made from that JSON
table.py   aligned columns
"""
