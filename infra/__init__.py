"""The infrastructure as code: what the training host is made of, and the settings everybody reads."""
