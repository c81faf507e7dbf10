"""Tests of the families, over HTTP."""
