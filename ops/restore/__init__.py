"""Bringing a host back from its image: what to do, doing it, and checking that the run continued."""
