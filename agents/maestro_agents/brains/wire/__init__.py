"""wire owns the way to a server and back: whatever comes becomes a typed answer or a failed one."""
