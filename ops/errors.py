"""Errors of AWS and Docker, translated into one line and a hint."""

from infra.quota import hint
from redox_balancer.errors import RedoxError


def translate_errors(error: Exception) -> RedoxError | None:
    """Return the RedoxError for an exception of boto3 or the Docker SDK; None for any other exception."""
    import botocore.exceptions as aws  # noqa: PLC0415 - needed only for an error

    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError | aws.SSOError):
        return RedoxError(f"no AWS credentials: {error}", hint="log in first: aws configure, or aws sso login")
    if isinstance(error, aws.ClientError):
        found = error.response.get("Error", {})
        text = f"AWS refuses {error.operation_name}: {found.get('Code')}: {found.get('Message')}"
        return RedoxError(text, hint=_way_out(text) or "aws sts get-caller-identity shows your identity")
    if isinstance(error, aws.BotoCoreError):
        return RedoxError(f"AWS does not answer: {error}", hint="check the network, and aws.region in deploy.toml")
    return _translate_docker_error(error)


def _way_out(text: str) -> str:
    from infra.settings import load  # noqa: PLC0415 - needed only for an error

    return hint(load(), text)


def _translate_docker_error(error: Exception) -> RedoxError | None:
    if not type(error).__module__.startswith(("docker.", "requests.")):  # neither may be installed
        return None
    from docker.errors import DockerException  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415 - the SDK does not wrap these

    if isinstance(error, DockerException | RequestException):
        return RedoxError(f"Docker: {str(error).splitlines()[0]}", hint="check that the engine runs: docker version")
    return None
