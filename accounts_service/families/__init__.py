"""The account families; each folder has the same file names."""
