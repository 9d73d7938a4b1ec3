"""What may be built into the cell and what it is worth."""
