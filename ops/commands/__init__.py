"""The verbs: a module each, with its function of the same name and an example.

A verb takes a `Session` first and its options as keywords; it returns an `Answer`, or None where nothing is to be
said.
"""
