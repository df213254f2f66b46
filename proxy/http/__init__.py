"""HTTP/1.1 for a reverse proxy, without I/O: bytes in, messages out, and back to bytes.

Nothing here imports asyncio, socket, time or random (a test reads the imports); the front end
owns the connections and the clock. RFC 9110 is HTTP's semantics, RFC 9112 is HTTP/1.1.

    client bytes ── skip_empty_lines ── find_head_end ──┐ one head, up to and with CRLFCRLF
                                                         ▼
                         Codec.parse_request: grammar → library → rules → RequestHead
                         UrlRules.check, SiteRules.check │            └ HttpError (answer, close)
            Codec.request_body → BodyReader ◄────────────┤
                                                         ▼
                                        forward.build_upstream_request → upstream bytes

    upstream bytes ── find_head_end ── Codec.parse_response → ResponseHead   (UpstreamError → 502)
                                                         │
            Codec.response_body → BodyReader ◄───────────┤
                                                         ▼
       forward.client_framing, forward.build_client_response → client bytes

Vocabulary
    head        the start line, the field lines and the empty line; always complete
    field       one line of a head or trailer: (lower-case name, name as received, value)
    framing     how the end of a body is known: NONE, LENGTH, CHUNKED or CLOSE
    grammar     the ABNF of the RFCs as regular expressions (grammar.py); a whole legal head
                matches in one pass, and strict.py finds the words for one that does not
    library     llhttp (codec_httptools.py) or h11 (codec_h11.py): a second parser that has to
                agree with the grammar, so that a mistake in one of the two lets nothing through
    rules       what a legal head may say (request_rules.py, response_rules.py); the same for
                both codecs
    site rules  what the site of a request asks of it beyond that (site_rules.py)
    policy      what a site wants of the heads of its responses (policy.py)
    special     a field that a rule or a builder acts on; all others only pass through
    plan        what the rules say about all heads with the same special fields (usual.py)
    reader      a BodyReader: takes bytes, returns views of the body, stops at the message's end

Errors are split by culprit: HttpError is the client's fault and carries the status to answer and
the HTTPERR reason; UpstreamError is the upstream's fault and always becomes 502.
"""
