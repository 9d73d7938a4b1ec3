"""Searches the agent is measured against."""
