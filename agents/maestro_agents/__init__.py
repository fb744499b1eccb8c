"""The role agents and their brains; they see reports, never books or fills."""
