"""Options of methods that a user may set: a frozen record each."""
