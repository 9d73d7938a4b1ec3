"""Settings that a person writes: each with its default, its limits and its description, in one place."""

import difflib
import textwrap
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from redox_balancer.errors import RedoxError


class SettingsModel(BaseModel):
    """Base class of settings, which do not change; a RedoxError for one that is unknown or out of its limits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise self._refusal(error) from None

    def changed(self, **settings: Any) -> Self:
        """These settings with others in place of some."""
        return type(self)(**dict(self) | settings)

    @classmethod
    def _refusal(cls, error: ValidationError) -> RedoxError:
        first = error.errors()[0]
        name = str(first["loc"][0])
        known = cls.model_fields.get(name)
        if known is None:
            close = difflib.get_close_matches(name, cls.model_fields, n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(cls.model_fields)}"
            return RedoxError(f"{cls.__name__} has no setting {name}", hint=hint)
        message = first["msg"].removeprefix("Value error, ")
        given = textwrap.shorten(str(first["input"]), 80, placeholder=" ...")
        return RedoxError(f"{name} = {given}: {message}", hint=known.description or "", settings=(name,))
