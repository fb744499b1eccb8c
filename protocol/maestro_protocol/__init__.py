"""The ground floor: the messages, the configuration and the ports that every room speaks through."""
