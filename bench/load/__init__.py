"""Load on a proxy: programs that ask for something as often as they can, or at a fixed rate.

job.py        what is asked of a load, and what it answers
process.py    a load as a process that tells when the measured time begins and ends
wrk.py        wrk, with window.lua
h2load.py     h2load, for fixed rates
own.py        our own client as a load; builtin/ is the client
choose.py     which of them for which scenario
"""
