"""What kssl is told to do: toggles, sites, certificates, and the folder it keeps things in.

Vocabulary, used in the same sense everywhere:

=================  ==============================================================================
parameter          one toggle with its Windows name, range and unit: a row of `PARAMETERS`
parameters         a value for each of them, checked: `Parameters`
profile            the origin of the defaults, and what is not available (see `profiles`)
source             where a value comes from: default, file, environment or command line
site               host names with one policy and one group of upstreams: `Site`
binding            an address that a site is reached at; *certificate binding*: a certificate for
                   an address or a name, as in ``netsh http add sslcert``
configuration      all of it, checked and complete: `Configuration`
assignment         ``Name=Value`` as typed after ``--set``
target             the upstream app that requests are forwarded to: `Target`
listen address     where clients connect to: `Listen`
state folder       the only folder kssl writes to by itself; mode 0700, owned by its user
development CA     a certificate authority made once per state folder, able to vouch only for
                   loopback names; it spares a developer the certificate, not the security
leaf               a certificate that a server shows; here: one issued by the development CA
chain              leaf first, then each certificate's issuer, as sent in a handshake
credentials        a chain and the private key of its leaf, loaded and checked
=================  ==============================================================================

The flow, from the sources to the process that owns the keys::

    kssl.toml ─ document ─┐
    environment, --set ───┼─> Configuration ─┬─────────────> front end  (no secret passes here)
    TARGET, --listen ─────┘                  └─ routing ──┐
                                                          ├─ file names ─> crypto worker ─> keys
    state folder ─ store (kssl cert), devca ──────────────┘

    .reg files ─ reg ─> document.edit ─> kssl.toml          running: which services there are

The front end handles file *names* only; `load_credentials` runs in the crypto worker, and in
`kssl cert` (`kssl.config.store`), which ends when it has looked at a key; nowhere else.

Everything that a person can get wrong raises `ConfigError`, one line for stderr, exit status 2.
Nothing here imports asyncio or opens a socket. The clock is an argument (``now``).
"""
