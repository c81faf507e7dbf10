"""Every query of NetBird."""
