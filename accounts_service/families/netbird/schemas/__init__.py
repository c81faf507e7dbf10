"""What bodies of NetBird look like, and which settings go together."""
