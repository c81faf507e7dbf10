"""accounts-service: one place for an organisation's accounts, four established APIs, one permission engine."""
