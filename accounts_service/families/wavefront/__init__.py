"""Wavefront: user and service accounts, user groups, roles and API tokens."""
