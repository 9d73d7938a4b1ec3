"""Operating a running deployment: `python -m ops`, one module for each command."""
