"""trail owns a session's event log: its records, who writes them, its sealed parts, and how long those are kept."""
