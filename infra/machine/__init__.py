"""Programs of the machines themselves, run by their own Python; the only package of the project on them."""
