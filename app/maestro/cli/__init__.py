"""The command line: parses, shows, exits. It decides nothing and keeps nothing."""
