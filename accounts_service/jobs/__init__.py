"""Work outside requests: the loop of the jobs process, and the jobs."""
