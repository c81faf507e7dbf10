"""Every query of Mention."""
