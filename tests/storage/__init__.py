"""Storage: sealed secrets, the writer's queue, both databases, the audit trail, migrations."""
