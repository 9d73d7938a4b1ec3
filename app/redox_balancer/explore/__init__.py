"""The page of `redox explore`: sliders, enzymes and a map that answer at once, served to this machine alone."""
