"""Tests of who is asking and what they may do, without HTTP and without a database."""
