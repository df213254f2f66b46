"""The verifier: the process that judges clients' certificates, and asks the network for what is
missing.

    worker ── presented ──> front end ── JUDGE ──> verifier ── VERDICT ──> front end

It has no key and sees no traffic; the worker has no network. What strangers have written, into a
certificate or on the other end of its URLs, is read here.

    rules/          the verdict: a pure library
    fetch/          certificates and CRLs by the URLs in certificates
    retrieval.py    when to ask for what is missing, and what to keep of it
    process.py      the process: one loop over one socketpair
    messages.py     what goes over it
    questions.py    who has asked what, and how it is answered
    searching.py    threads for questions that need the network
    network.py      whom these may ask, by the settings of a site
    policies.py     settings and files → what to judge by
    kept.py         intermediate CAs that were fetched, on disk
    lists.py        CRLs that were fetched, in memory
    verdicts.py     a verdict → what the front end is told
    remembering.py  verdicts, for a minute
"""
