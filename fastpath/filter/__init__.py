"""The filter: the process that plays HTTPFilter's part, in user mode with UserModeHops=2.

In IIS 6 a record went from http.sys to HTTPFilter, from there to LSASS, and back the same way
(`docs/windows.md`). Here the filter stands between the front end and the crypto worker, so that
the cost of the second hop can be measured. It relays bytes and knows nothing of frames.

    process.py   the filter's process
"""
