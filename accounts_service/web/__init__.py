"""A request's way: dispatcher, gate, body, errors.

The only place, with the families' views and dialects, that knows Flask.
"""
