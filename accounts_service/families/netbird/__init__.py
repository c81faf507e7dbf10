"""NetBird: tenants' accounts and their settings, users, personal access tokens and events."""
