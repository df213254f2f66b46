"""``kssl bench``: CPU time per request in user mode, in kernel mode, and of peers beside them.

run.py        prepares everything once, then rounds: A B C A B C …
scenarios.py  what is asked for
contract.py   what a subject is: a proxy that runs, and its processes by kind
kssl.py       ours as a subject; peers/ has other people's; subjects.py gathers them
process.py    starts and ends programs of others
nginx.py      nginx as the backend behind everything, and what its peers share with that
backend.py    the app behind all of them
load.py       wrk, or client.py where there is none
proc.py       CPU time of processes, from /proc
stats.py, report.py, table.py, machine.py   from raw rounds to what is shown
"""
