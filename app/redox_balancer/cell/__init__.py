"""The metabolic network: models, media, conditions and the linear programs on them."""
