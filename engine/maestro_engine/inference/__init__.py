"""Statistics and the judge: what may be concluded from a search, and the verdict."""
