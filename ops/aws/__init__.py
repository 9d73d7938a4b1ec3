"""Queries to AWS: the host's instance, backups, spending, what a deployment needs, and what belongs to none."""
