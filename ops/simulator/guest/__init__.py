"""Programs of a simulated host: stand-ins for systemd, Docker and a few commands. Only the standard library."""
