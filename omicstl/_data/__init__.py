"""The only room that touches AnnData: it reads, matches, writes and stores."""
