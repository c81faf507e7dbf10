"""Who is asking and what they may do: authenticators, roles, action groups, decisions. No Flask here."""
