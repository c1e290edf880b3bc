"""The session with the acquirer: whether the sign-on still holds, and which working keys are in force."""
