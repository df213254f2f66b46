"""Starting, stopping, restarting a service from outside, after ``net start http``.

    kssl start    launch ──arguments, report pipe──> kssl serve ──"ready" or what is wrong──> launch
    kssl stop     SIGTERM: the service finishes what it has, for a while, and ends
    kssl restart  SIGUSR2: the service launches its successor and hands over its listening sockets;
                  once that is ready, the old one takes no more connections and ends with its last
    kssl status   connects to the service's admin socket, which tells what it is doing

Nobody is refused during a restart: the listening sockets never close, both processes hold them. A
successor that does not come up (its configuration is wrong, say) changes nothing.
"""
