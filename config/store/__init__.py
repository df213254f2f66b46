"""The certificate store behind `kssl cert`, after IIS 4's Key Manager and netsh.

=========  =======================================================================================
store      ``STATE/certificates``: what has been committed, and nothing else. Each certificate is
           two files, ``THUMBPRINT.pem`` (chain, leaf first) and ``THUMBPRINT.key`` (PKCS #8, not
           encrypted, 0600)
thumbprint SHA-256 of the leaf's DER, 64 hex digits in lower case
place      what a certificate is bound to: an address and port (`ipport`) or, by SNI, a name and
           port (`hostnameport`)
binding    a place and a thumbprint; a ``[[binding]]`` table of kssl.toml. A certificate without
           one is not served
staged     written down in ``STATE/certificates/staged`` and read by nothing that serves
commit     what makes staged changes real; leaving without it changes nothing
=========  =======================================================================================

The order of a commit, so that a crash at any point leaves something that works, from which the
commit can be repeated::

    staged files ─1─> store      new certificates, bound to nothing yet
    staged binds ─2─> kssl.toml  one atomic write: all bindings change together
    store        ─3─> deletes    of what is bound no longer
    staged       ─4─> emptied    but for deletions of what a service needs until its restart

Keys are loaded here to see that they belong to their certificates; therefore this package is used
by `kssl cert` only, a process of its own.
"""
