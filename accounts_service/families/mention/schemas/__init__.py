"""What bodies of Mention look like, and the words they may use."""
