"""``kssl bench``: what a request costs in user mode, in kernel mode, and of peers beside them.

run.py        prepares everything once, then rounds: A B C A B C …
scenarios.py  what is asked for
outcome.py    what is asked of a run, and what comes out of it
stage.py      the backends and subjects that run meanwhile
subjects.py   what is measured: a proxy that runs, and its processes by kind
nginx.py      nginx as a peer, and as the backend behind everything
backend.py    the app behind all of them
probe.py      one look at each answer before it is measured
load/         wrk, h2load and our own client
measure/      rounds, idle connections, counters
report/       from raw rounds to JSON and to the terminal
proc.py       CPU time and memory of processes, from /proc
pinning.py, machine.py, estimate.py, progress.py
"""
