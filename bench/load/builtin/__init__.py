"""Our own load: one process, one thread, non-blocking TLS by Python's ssl.

task.py       what it has to do, as JSON on its command line
loop.py       runs generators that wait for sockets and times
stream.py     one connection
http.py       requests and replies
websocket.py  messages
window.py     the measured time, what is counted in it
kinds.py      the kinds of load, one generator for each connection

It prints "begin SECONDS" and "end SECONDS" when the measured time begins and ends, and at its end
"done" with JSON. Any failure ends it with exit code 1 and a line on stderr.
"""
