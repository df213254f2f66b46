"""What is written down about requests and connections.

record.py         one request, one event of a connection: what is told of it
journal.py        hands both to all that follow
accesslog.py      one line for each request
httperr.py        one line for what the proxy refused or lost itself
httperr_files.py  the files of that log
closes.py         counters of how connections ended, for `kssl status`
"""
