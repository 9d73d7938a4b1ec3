"""`python -m infra`: synthesises the CloudFormation templates; called by the CDK command line (see cdk.json)."""

import sys

from aws_cdk import App

from infra.settings import SettingsError, load
from infra.stacks import build


def main() -> int:
    """Synthesise both stacks; invalid settings end with a line each and exit code 2."""
    try:
        settings = load()
        app = App()
        build(app, settings)
    except SettingsError as error:
        return error.show()
    app.synth()
    for line in settings.unfinished:
        print(f"warning: {line}", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
