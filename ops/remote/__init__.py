"""The host over SSH: connection, commands and files, the training that runs on it, and its container image."""
