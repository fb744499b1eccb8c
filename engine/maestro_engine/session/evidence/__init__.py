"""evidence owns what is made of a session's trail: its story, figures, summary, logs, and the checklist over them."""
