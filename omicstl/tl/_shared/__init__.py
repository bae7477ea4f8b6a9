"""What several verbs read and write."""
