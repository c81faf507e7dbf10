"""Where things are kept: databases, sealed secrets, the audit trail, migrations. No Flask here."""
