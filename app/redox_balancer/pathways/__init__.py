"""The drawn map of redox metabolism: its layout in Escher's format, fitted to a model, and its picture."""

from typing import Literal

State = Literal["growth", "capacity", "without"]
"""The cell at largest growth, at the capacity with growth at its floor, and at largest growth with nothing put in."""
