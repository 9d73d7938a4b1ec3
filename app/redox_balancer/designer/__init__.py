"""What a user asks for: the construct proposed for a condition, what it does in the whole model, and its export."""
