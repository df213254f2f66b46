"""`kssl trace`: one request, watched on its way through the processes.

The normal code has no hooks. A traced process replaces a handful of methods by wrappers before it
starts, keeps what they see in memory, and writes it to a file when it ends; so nothing is written
while the request is on its way, and a proxy that is not traced pays nothing.

    points ──► recorder ──► FOLDER/front-123.json, worker-124.json … ──► steps ──► render

    points.py      which methods are watched, in the order in which a request passes them, and why
    watch.py       the wrappers: each call becomes an event
    recorder.py    events, and the file in which a process leaves them
    process.py     `python -m kssl.proxy.trace.process FOLDER MODULE …`: MODULE, watched
    client.py      the client, which records what it sends and gets
    request.py     what is asked for, as typed
    run.py         the traced proxy, the warm-up and the one request, in each mode

    phases.py      event → part of the way (sans-I/O, as the next two)
    timeline.py    events → visits, and whose each moment is
    steps.py       the numbered steps
    render/        steps as text, as JSON, as a sequence diagram

    counting.py    `python -m kssl.proxy.trace.counting OUT.json serve …`: the same points, only
    counted

An event holds sizes and times, never payload or keys.
"""
