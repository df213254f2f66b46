"""Logs that cannot stop the process that writes them.

A pipe that nobody reads, a disk that hangs, a terminal that was stopped: whoever writes to one of
them waits, and an event loop that waits serves nobody. So each stream has a queue and a thread:

    whoever logs ── whole lines ──► LineWriter ── queue, bounded ──► its thread ──► Descriptor

    writer.py       the queue and the thread; what does not fit is counted, and told in the log
    descriptor.py   a file, pipe or terminal: partial writes, half lines, waiting
    standard.py     descriptors 0, 1 and 2
    messages.py     what `logging` and ``sys.stderr`` get, on its way to standard error
    allowance.py    how many lines of one kind may be written in a while
"""
