"""The commands: one module each, with a function of the same name and an example.

A command takes a `Session` first and its options as keywords. It returns a `CommandResult`, or None without one.
"""
