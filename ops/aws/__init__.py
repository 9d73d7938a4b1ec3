"""Queries to AWS: the host's instance, backups, spending, and resources that belong to no deployment."""
