"""Decisions, all pure: what an answer means, what an exchange does next, what is owed, and the one driver of it."""
