"""The verifier: the process that judges clients' certificates, and asks the network for what is
missing.

    worker ── presented ──> front end ── JUDGE ──> verifier ── VERDICT ──> front end

It has no key and sees no traffic; the worker has no network. What strangers have written, into a
certificate or on the other end of its URLs, is read here.

    process.py      the process: one blocking loop over one socketpair
    messages.py     what goes over it
    policies.py     settings and files → what to judge by
    verdicts.py     a verdict → what the front end is told
    remembering.py  verdicts, for a minute
"""
