"""Every query of Signals."""
