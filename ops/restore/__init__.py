"""Replacing a lost host by one made from its image: the plan, its execution, and verifying that the run resumed."""
