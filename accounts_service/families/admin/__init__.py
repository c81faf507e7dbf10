"""Our own family: health now, and the answer to every path that no family takes."""
