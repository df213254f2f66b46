"""Measuring: rounds under load, idle connections, counters.

rounds.py    A B C A B C …, CPU time and memory of each round
pace.py      the fixed rate of the scenario "latency"
idle.py      memory of idle connections, latency beside them
counting.py  what crosses to the worker, in a pass of its own
"""
