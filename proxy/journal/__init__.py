"""What is written down about requests and connections.

accesslog.py      one line for each request
httperr.py        one line for what the proxy refused or lost itself
httperr_files.py  the files of that log
"""
