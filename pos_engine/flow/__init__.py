"""Decisions, all pure: what one answer means, what one exchange does next, what is owed, and the one driver of it all."""
