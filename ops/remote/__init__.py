"""The host over SSH: its instance, commands and files on it, and the training that runs there."""
