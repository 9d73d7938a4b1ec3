"""What people do to a running deployment, every day: `python -m ops`, one module a verb."""
