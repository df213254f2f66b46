"""A running service: put together, and started, stopped, restarted after ``net start http``.

    kssl start    launch ──arguments, report pipe──> kssl serve ──"ready" or what is wrong──> launch
    kssl stop     SIGTERM: the service finishes what it has, for a while, and ends
    kssl restart  SIGUSR2: the service launches its successor and hands over its listening sockets;
                  once that is ready, the old one takes no more connections and ends with its last
    kssl status   connects to the service's admin socket, which tells what it is doing

Nobody is refused during a restart: the listening sockets never close, both processes hold them. A
successor that does not come up (its configuration is wrong, say) changes nothing.

    service.py       workers, listeners and upstreams put together, from start to stop
    opening.py, sockets.py   sockets that listen
    helpers.py       the processes behind the front end
    memory_limit.py  how much memory there is
    live.py          a service that gets signals: reload, restart
    staying.py       one in a terminal stays there when it is restarted
    launch.py, report.py     a service is started: the starter's side, and its own
    control.py       finding a running one, and what `kssl stop` and `kssl restart` do to it
    admin.py, ask.py         what it is doing: the socket, and who asks
    snapshot.py      the answer
    spawn.py         a service for the time of a demonstration, a benchmark or a test
"""
