"""Programs that are sent to the host and run by its own Python; standard library only.

`RemoteHost.script` sends the source text, so nothing has to be installed on the host and versions cannot differ. A
program reads one JSON value from its first argument and prints one; an error is one line on stderr and exit code 1.
"""
