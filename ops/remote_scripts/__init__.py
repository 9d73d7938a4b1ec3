"""Programs that run on the host, with its own Python and nothing but the standard library.

`Host.python` sends one as text, so the host needs nothing of them beforehand and versions never differ. Each reads
one JSON value from its first argument and writes one to stdout; what fails is one line on stderr and exit code 1.
"""
