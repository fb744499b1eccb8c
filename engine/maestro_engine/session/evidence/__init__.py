"""evidence owns what a session leaves behind: its trail, logs, figures, summary, and the checklist over them."""
