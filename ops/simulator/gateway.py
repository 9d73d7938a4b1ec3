"""Stand-in for the AWS CLI: `aws ssm start-session` for SSH, and nothing else.

Connects stdin and stdout to the sshd of a simulated host. Only the standard library and the records of the hosts.
"""

import json
import os
import select
import shlex
import socket
import sys
import urllib.request
from pathlib import Path

from ops.simulator.records import HOSTS, records

BUFFER = 65_536
DOCUMENT = "AWS-StartSSHSession"
WRAPPER = """\
#!/bin/sh
# Stand-in for the AWS CLI: reaches the simulated hosts.
[ "$1" != --version ] || exec echo aws-cli/2.27.1
{variable}={hosts} PYTHONPATH={root} exec {python} -P -m ops.simulator.gateway "$@"
"""
PLUGIN = """\
#!/bin/sh
# Stand-in for the Session Manager plugin of the AWS CLI.
echo 1.2.0.0
"""


def install(folder: Path, hosts: Path) -> None:
    """Write `aws` and `session-manager-plugin` to a folder that goes on the PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {"hosts": hosts.absolute(), "root": Path(__file__).parents[2], "python": Path(sys.executable).absolute()}
    text = WRAPPER.format(variable=HOSTS, **{name: shlex.quote(str(path)) for name, path in known.items()})
    for name, content in {"aws": text, "session-manager-plugin": PLUGIN}.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)


def ask(target: str) -> None:
    """Start the session in simulated AWS, which checks whether the operator may."""
    address, principal = os.environ.get("AWS_ENDPOINT_URL"), os.environ.get("AWS_ACCESS_KEY_ID")
    if address and principal == "operator":  # its key; tests of one command have others, and no simulated AWS
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={principal}/20260101/us-east-1/ssm/aws4_request",
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AmazonSSM.StartSession",
        }
        asked = json.dumps({"Target": target, "DocumentName": DOCUMENT}).encode()
        urllib.request.urlopen(urllib.request.Request(address, asked, headers)).close()  # noqa: S310 - our own server


def relay(connection: socket.socket) -> None:
    """Relay bytes in both directions until either side ends."""
    while True:
        ready, _, _ = select.select([sys.stdin, connection], [], [])
        if connection in ready:
            data = connection.recv(BUFFER)
            if not data:
                return
            _write_all(data)
        if sys.stdin in ready:
            data = os.read(0, BUFFER)
            if not data:
                return
            connection.sendall(data)


def _write_all(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def main(arguments: list[str]) -> int:
    """Open a session."""
    # The AWS CLI's own order of words, options in pairs.
    options = dict(zip(arguments[2::2], arguments[3::2], strict=False))
    if arguments[:2] != ["ssm", "start-session"] or options.get("--document-name") != DOCUMENT:
        sys.exit(f"not simulated: aws {shlex.join(arguments)}")
    target = options["--target"]
    ask(target)
    for host in records():
        if host.instance_id == target and host.alive:
            with socket.create_connection(("127.0.0.1", host.port)) as connection:
                relay(connection)
            return 0
    sys.stderr.write(
        "\nAn error occurred (TargetNotConnected) when calling the StartSession operation: "
        f"{target} is not connected.\n"
    )
    return 254  # exit code of the AWS CLI where a service refuses


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
