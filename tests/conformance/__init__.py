"""Recorded cases, run against the service: `pytest tests/conformance --cases DIR`."""
