"""Processes behind the front end, and the frames between them and it.

frames.py      the messages on a socketpair, both sides
output.py      a process's batch of answers
link.py        the front end's end of the socketpair
receiver.py    who gets frames from a link
control.py     who waits for which answer of the process itself
processes.py   how a process is started and ended
supervisor.py  starts one, and starts it again when it dies
watch.py       notices one that lives and does nothing
sessions.py    which of several workers has which session
hardening.py   what such a process does first: memory, signals, descriptors
collector.py   Python's cyclic collector, for thousands of connections
"""
