"""What bodies of Signals must look like."""
