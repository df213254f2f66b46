"""How an app sees the proxy's side of a connection end."""

from __future__ import annotations

import ssl

from tests.proxy.frontend.upstreams import UpstreamSide
from tests.strict_tls import StrictSocket

# What an app without TLS can see: FIN, RESET. With TLS, FIN and RESET are what an attacker can
# forge, ALERT is the proxy's way to say that this was not all, and CLOSE_NOTIFY that it was.
RESET, FIN, ALERT, CLOSE_NOTIFY = "reset", "fin", "alert", "close_notify"


def receive(side: UpstreamSide) -> tuple[bytes, str]:
    """Some bytes and ""; or none, and how it ended. Neither, when there was nothing for long."""
    try:
        data = side.sock.recv(1 << 16)
    except TimeoutError:
        return b"", ""  # kept by the proxy, for the next request
    except ConnectionError:
        return b"", RESET
    except ssl.SSLEOFError:
        return b"", FIN
    except ssl.SSLError as error:
        return b"", ALERT if "ALERT" in (error.reason or "") else str(error)
    if data:
        return data, ""
    return b"", CLOSE_NOTIFY if isinstance(side.sock, StrictSocket) else FIN
