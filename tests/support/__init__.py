"""What tests share: a PostgreSQL server, installations, personas, a real server."""
