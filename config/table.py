"""The table of toggles. Whatever sets, shows, checks or documents a parameter reads it here.

Names, ranges and Windows defaults are those of
``HKLM\\System\\CurrentControlSet\\Services\\HTTP\\Parameters`` where Windows has the value. The
time limits carry the names of http.sys's timers; UserModeHops, TlsPreset, the two
``Upstream…`` ones and the two ``…Grace`` ones are ours. Windows' values without a meaning here are
absent.

A row stands here only if it changes what this version does. To add one: a row here and a field in
`kssl.config.parameters.Parameters`; an import fails if one is without the other.

`Parameter.default` is the *native* profile. It differs from Windows in these places:
EnableKernelSSL (Windows Server 2003: 0) and EnableSslCloseNotify (0) are on, because speed and
truncation protection should not have to be asked for; HeaderWaitTimeout is 30 s instead of 120,
because a client that trickles its header holds a connection for that long; MaxBytesPerSend is
128 KiB, one batch from the upstream, because half of it costs CPU time for nothing;
UrlSegmentMaxLength and UrlSegmentMaxCount are off and MaxRequestBytes is 32 KiB, as in other
proxies: apps have long segments (signed URLs, encoded objects), browsers many cookies.
"""

from __future__ import annotations

from kssl.config.parameter import Parameter

INTERMEDIATE, MODERN = "intermediate", "modern"
"""Values of TlsPreset."""

# Upper bound of the timers: 65535 s is the largest that http.sys's timeout properties hold
# (HTTP_TIMEOUT_LIMIT_INFO: USHORT seconds). 0 would mean "give up at once", hence a minimum of 1.
_LONGEST = 0xFFFF
_DWORD = 0xFFFFFFFF
_MAX_PATH = 260  # characters, of Windows

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        name="EnableKernelSSL", default=1, windows=0, ws2008=1, maximum=1,
        meaning="1: the front end encrypts records itself (kernel mode); "
        "0: each record goes to the crypto worker and back (user mode)",
        risk="1: the front end's memory holds the symmetric keys of live connections; "
        "0: more CPU time, and connections end when the worker dies",
    ),
    Parameter(
        name="UserModeHops", default=1, minimum=1, maximum=2, unit="processes",
        meaning="user mode, the processes behind the front end: 1: the crypto worker; "
        "2: a filter that only relays, then the worker (HTTPFilter and LSASS). "
        "No effect in kernel mode",
        risk="2 is there to be measured: more CPU time, and one process more whose death ends "
        "connections",
    ),
    Parameter(
        name="EnableSslCloseNotify", default=1, windows=0, maximum=1,
        meaning="1: require and send close_notify, and resume a session only after a clean close",
        risk="0: a client cannot tell a truncated answer without framing from a whole one; "
        "1: full handshakes for clients that never send close_notify",
    ),
    Parameter(
        name="TlsPreset", default="", words=("", INTERMEDIATE, MODERN), maximum=16,
        meaning="which TLS is spoken, after Mozilla's server side TLS guidelines. intermediate: "
        "TLS 1.2 and 1.3, groups X25519MLKEM768, X25519, P-256, P-384; modern: the same groups, "
        "with clients TLS 1.3 alone; empty: TLS 1.2 and 1.3, all groups of OpenSSL. The cipher "
        "suites are the same in all, and the client's preference counts. The groups are those "
        "towards https:// upstreams too",
        risk="modern: clients older than TLS 1.3 cannot connect",
    ),
    Parameter(
        name="DisableSslCertChainCacheOnlyUrlRetrieval", default=0, windows=0, maximum=1,
        meaning="1: intermediates of a client certificate may be fetched from the Internet; "
        "0: they come from the client, from client_intermediates and from what kssl has kept. "
        "No effect where no site asks for a client certificate",
        risk="1: a client's certificate chooses addresses that the proxy connects to",
    ),
    Parameter(
        name="UrlRetrievalAllowed", default="", maximum=2048,
        meaning="hosts and networks with private or loopback addresses that may be asked for "
        "intermediates and revocation lists, with spaces or commas between: pki.corp.example "
        "10.1.0.0/16; pki.corp.example:8081 is allowed at that port, all others at 80 and 8080; "
        "empty: public addresses only. No effect where nothing is fetched",
        risk="a client's certificate may choose among them",
    ),
    Parameter(
        name="RejectClientCertificates", default=0, maximum=1,
        meaning="1: whoever presents a client certificate is refused, and so is a site that asks "
        "for one (SslNegotiateCert, SslRequireCert); 0: sites decide",
        risk="1: every https site asks for a certificate, to see who has one: browsers may show a "
        "dialogue",
    ),
    Parameter(
        name="MaxFieldLength", default=16384, windows=16384, minimum=64, maximum=65534,
        unit="bytes", live=True,
        meaning="longest single header field; lowered to MaxRequestBytes if larger; "
        "more is answered 400 (FieldLength)",
        risk="higher: more memory for each connection that sends a header",
    ),
    Parameter(
        name="MaxRequestBytes", default=32768, windows=16384, minimum=256, maximum=16777216,
        unit="bytes", live=True,
        meaning="longest request line and header fields together; "
        "more is answered 400 (RequestLength)",
        risk="higher: more memory for each connection that sends a header",
    ),
    Parameter(
        name="MaxResponseHeadBytes", default=65536, minimum=4096, maximum=16777216,
        unit="bytes", live=True,
        meaning="longest status line and header fields of an upstream's response, and so its "
        "longest single field; more is answered 502",
        risk="higher: more memory for each upstream connection that sends a header",
    ),
    Parameter(
        name="UrlSegmentMaxLength", default=0, windows=260, maximum=32766, unit="characters",
        zero="unlimited", live=True,
        meaning="longest part of a path between two slashes, decoded; "
        "more is answered 400 (URL)",
        risk="higher: apps that make file names of segments see longer ones",
    ),
    Parameter(
        name="UrlSegmentMaxCount", default=0, windows=255, maximum=16383, unit="segments",
        zero="unlimited", live=True,
        meaning="most parts of a path; more is answered 400 (URL)",
        risk="higher: apps that walk a path spend more time on one",
    ),
    Parameter(
        name="AllowRestrictedChars", default=0, windows=0, maximum=1, live=True,
        meaning="1: a path may have escaped control characters, U+0000-U+001F and U+007F-U+009F; "
        "0: it is answered 400 (URL)",
        risk="1: apps see NUL and line breaks in paths, which some cut or log unescaped",
    ),
    Parameter(
        name="PercentUAllowed", default=1, windows=1, maximum=1, live=True,
        meaning="1: a path may have %uNNNN escapes (passed on as they are); "
        "0: it is answered 400 (URL)",
        risk="1: an app that decodes them sees characters that filters in front of it did not",
    ),
    Parameter(
        name="EnableNonUTF8", default=1, windows=1, maximum=1, live=True,
        meaning="1: a path may decode to bytes that are not UTF-8; 0: it is answered 400 (URL)",
        risk="1: apps may see overlong or broken UTF-8",
    ),
    Parameter(
        name="FavorUTF8", default=1, windows=1, maximum=1, live=True,
        meaning="1: UrlSegmentMaxLength counts UTF-8 characters where a path is UTF-8; "
        "0: it counts bytes, unless EnableNonUTF8 is 0",
        risk="none",
    ),
    Parameter(
        name="MaxConnections", default=0, windows=0, minimum=1024, maximum=2031616,
        unit="connections", zero="unlimited", live=True,
        meaning="client connections at the same time; more are closed at once "
        "(Connections_Refused)",
        risk="unlimited: only MaxConnectionMemory and the limit of open files protect the machine",
    ),
    Parameter(
        name="MaxConnectionMemory", default=0, minimum=16, maximum=1048576, unit="MiB",
        zero="automatic", live=True,
        meaning="memory of all client connections together: 40 KiB for each, and what waits for "
        "peers that do not read. Above it new ones are refused (Connections_Refused) and the "
        "slowest are cut (Memory_Full). Automatic: three quarters of what the machine or the "
        "cgroup leaves at the start",
        risk="too high: the kernel kills the whole service; low: slow clients are cut",
    ),
    Parameter(
        name="MaxBytesPerSend", default=131072, windows=65536, minimum=1, maximum=0xFFFFF,
        unit="bytes",
        meaning="most bytes of a response that are encrypted and sent in one piece; above 245760 "
        "it acts as 245760",
        risk="small: many small records, much CPU time and memory",
    ),
    Parameter(
        name="DisableServerHeader", default=0, windows=0, maximum=2, live=True,
        meaning="the Server field: 0: `kssl` in the proxy's own responses; 1: not in those; "
        "2: not in the app's responses either",
        risk="0: tells an attacker what runs here",
    ),
    Parameter(
        name="IdleConnectionTimeout", default=120, windows=120, minimum=1, maximum=_LONGEST,
        unit="seconds", live=True,
        meaning="how long a kept-alive connection may wait for its next request "
        "(Timer_ConnectionIdle)",
        risk="high: idle clients hold memory and descriptors for longer",
    ),
    Parameter(
        name="HeaderWaitTimeout", default=30, windows=120, minimum=1, maximum=_LONGEST,
        unit="seconds", live=True,
        meaning="time for the handshake, and for the whole request header to arrive "
        "(Timer_HeaderWait)",
        risk="high: slow senders hold connections for longer",
    ),
    Parameter(
        name="EntityBodyTimeout", default=120, windows=120, minimum=1, maximum=_LONGEST,
        unit="seconds", live=True,
        meaning="longest pause between two pieces of a request body (Timer_EntityBody), or of a "
        "client in reading a response (Timer_Response)",
        risk="high: slow peers hold connections, and the app's, for longer",
    ),
    Parameter(
        name="UpstreamConnectTimeout", default=10, minimum=1, maximum=_LONGEST, unit="seconds",
        live=True,
        meaning="time for a connection to the upstream to open; then 504",
        risk="high: clients wait longer for an app that is away",
    ),
    Parameter(
        name="UpstreamResponseTimeout", default=120, minimum=1, maximum=_LONGEST, unit="seconds",
        live=True,
        meaning="longest wait for the upstream's whole response header, also behind 1xx answers "
        "(then 504), and between pieces of its body",
        risk="low: slow but working apps are cut off",
    ),
    Parameter(
        name="TunnelIdleTimeout", default=3600, minimum=0, maximum=_LONGEST, unit="seconds",
        live=True,
        meaning="longest silence, in both directions, of a WebSocket or another connection that "
        "was upgraded; 0: no limit",
        risk="low: quiet WebSockets are cut; 0: forgotten ones stay for ever",
    ),
    Parameter(
        name="StopGrace", default=4, minimum=1, maximum=_LONGEST, unit="seconds", live=True,
        meaning="time for requests in progress when the service is stopped; then they are cut. "
        "Last bytes and the end of the workers take 3.3 s more at most (in user mode with two hops "
        "5.3), and each log that takes nothing 1.1 s; `docker stop` gives 10 s",
        risk="high: whoever stops the service may kill it before it has ended (Docker after 10 s, "
        "systemd after 90 s)",
    ),
    Parameter(
        name="RestartGrace", default=600, minimum=1, maximum=_LONGEST, unit="seconds", live=True,
        meaning="time for the connections of a service that has a successor (kssl restart); then "
        "they are cut as by kssl stop, after StopGrace",
        risk="high: WebSockets keep the old process and its memory; low: they are cut",
    ),
    Parameter(
        name="EnableErrorLogging", default=1, windows=1, maximum=1,
        meaning="1: the HTTPERR log is written: one line for each request or connection that "
        "the proxy itself refused or lost",
        risk="0: attacks and errors leave no trace",
    ),
    Parameter(
        name="ErrorLogFileTruncateSize", default=0x100000, windows=0x100000, minimum=0x100000,
        maximum=_DWORD, unit="bytes",
        meaning="size at which the HTTPERR log goes on in its next file",
        risk="high: large files",
    ),
    Parameter(
        name="ErrorLoggingDir", default="", windows="", maximum=_MAX_PATH,
        meaning="folder for the HTTPERR log, which goes to HTTPERR/httperrN.log below it; "
        "empty: LogFiles in the state folder",
        risk="others who may read it see addresses and URLs",
    ),
)  # fmt: skip
