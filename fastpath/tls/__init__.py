"""What handshakes and records have in common, without I/O.

errors.py        alerts, and the errors that carry them
suites.py        cipher suites
keys.py          traffic keys as values
keyschedule.py   from secrets to keys
fragment.py      the largest fragment of a record
clienthello.py   what a client asks for, before OpenSSL knows
legacy.py        hellos of another age, recognised
openssl_conf.py  OpenSSL's configuration files for our processes
"""
