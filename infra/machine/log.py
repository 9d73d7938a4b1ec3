"""The host's log."""

import time


def say(program: str, text: str) -> None:
    """Write a line; systemd and cron append it to /var/log/redox.log."""
    print(f"{time.strftime('%FT%TZ', time.gmtime())} {program}: {text}", flush=True)
