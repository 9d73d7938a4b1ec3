"""The infrastructure as code: the stacks of the training host, and the settings of the deployment."""
