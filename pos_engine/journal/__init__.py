"""What happened and what is owed: the record (pure), the view flows read, and the stores that keep it."""
