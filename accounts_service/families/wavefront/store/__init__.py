"""Every query of Wavefront."""
