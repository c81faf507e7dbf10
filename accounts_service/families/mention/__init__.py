"""The Mention family: a person's own account."""
