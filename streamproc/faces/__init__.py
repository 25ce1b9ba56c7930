"""Finding, aligning, rating and following faces."""
