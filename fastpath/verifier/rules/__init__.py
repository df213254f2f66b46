"""The verdict on a client's certificate, and the reasons for it in words.

    presented DER ── judge ── Verdict: outcome (ok or a substatus of IIS), reason, steps, identity
                       │
         Policy: made once, of trust, intermediates, revocation lists, rules

A pure library: time is passed in, and only `trust` reads files. The decision is that of
`cryptography.x509.verification`, with the extension rules of `profile`; what it refuses is then
looked at once more by `path` and `explain`, to find words. They never turn a no into a yes.

    trust.py       files → anchors, intermediates, revocation lists
    policy.py      what a site asks for, prepared
    presented.py   the client's bytes → certificates, with limits
    bulk.py        how much there is to parse, told before it is parsed
    profile.py     what the certificate and its CAs must look like: keys, usage, extensions
    names.py       names as text; name constraints that cryptography leaves to us
    reach.py       what the trust store vouches for, so that strangers cannot make us search
    path.py        the most likely path, when none is accepted
    explain.py     what is wrong with it
    crl.py         revocation lists
    revocation.py  whether a certificate of the chain is revoked
    fingerprints.py  one certificate has two, if a client likes
    urls.py        where a certificate says that its issuer and revocation lists are
    bundles.py     what came from there
    rules.py       allow and deny rules of a site
    judge.py       all of it in order
    verdict.py     the result
"""
