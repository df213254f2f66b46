"""``kssl bench``: what a request costs in user mode, in kernel mode, and of peers beside them.

run.py        a whole benchmark, from its start to what came out
scenarios.py  what is asked for
outcome.py    what is asked of a run, and what comes out of it
stage.py      the backends and subjects that run meanwhile
contract.py   what a subject is: a proxy that runs, and its processes by kind
kssl.py       ours as a subject; peers/ has other people's; subjects.py gathers them
process.py    starts and ends programs of others
nginx.py      nginx as the backend behind everything, and what its peers share with that
backend.py    the app behind all of them; echo.py answers WebSockets
probe.py      one look at each answer before it is measured
load/         wrk, h2load and our own client
measure/      rounds, idle connections, counters
report/       from raw rounds to JSON and to the terminal
proc.py       CPU time and memory of processes, from /proc
pinning.py, machine.py, estimate.py, progress.py
"""
