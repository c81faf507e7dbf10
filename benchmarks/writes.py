"""How many writes a second, and how long they take: `make bench`."""
