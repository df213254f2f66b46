"""``kssl bench``: CPU time per request in user mode, in kernel mode, and of peers beside them.

run.py        prepares everything once, then rounds: A B C A B C …
scenarios.py  what is asked for
subjects.py   what is measured: a proxy that runs, and its processes by kind
nginx.py      nginx as a peer, and as the backend behind everything
backend.py    the app behind all of them
load.py       wrk, or client.py where there is none
proc.py       CPU time of processes, from /proc
stats.py, report.py, table.py, machine.py   from raw rounds to what is shown
"""
