"""kssl: a TLS-terminating reverse proxy.

The packages `proxy`, `fastpath`, `config` and `bench` lie at the top of the tree, and are imported
from here. In a clone this folder holds links to them; the editable install, mypy and editors need
only to know `src`. An installed kssl has the packages themselves.
"""
