"""Designs: constructs proposed by a policy or by hand, their analysis in the whole model, and their export."""
