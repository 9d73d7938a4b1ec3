"""Optional dependencies: which extra of the package brings what an import did not find."""

from redox_balancer.errors import RedoxError

EXTRAS = {
    "torch": "train",
    "ray": "train",
    "tensorboard": "train",
    "boto3": "s3",
    "memray": "profile",
    "nicegui": "explore",
}
"""Extra by package."""


def missing_extra(error: ImportError) -> RedoxError | None:
    """Return the error a user sees for an optional package that is not installed; None for any other package."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        return None
    return RedoxError(f"this needs {package}, which is not installed", hint=f"pip install 'redox_balancer[{extra}]'")
