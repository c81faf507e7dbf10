"""Tests of what bodies must look like."""
