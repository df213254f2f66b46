"""kssl.toml: reading it with everything that is wrong in it, at once.

::

    text --tomllib--> values ─┐
         --positions--> lines ┴─> Section: one table, its keys known from `keys`
                                    │  wrong type, unknown key ... --> Report: problems, warnings
            sites, certificates, parameters, logs
                                    │
            checks: what only shows when all are seen together
                                    │
                                    └─> kssl.config.model.Configuration, or ProblemsError

``toml`` leads from the file to text and data, also for ``edit``, which changes the file. ``keys``
is the table of keys: the reader, the JSON schema and the tests of the documentation go by it. Files
are looked at through `kssl.config.trusted` only, and private keys are never read here.
"""
