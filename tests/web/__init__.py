"""Tests of the frame: dispatcher, gate, bodies, conditions, with a family of their own."""
