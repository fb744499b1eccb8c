"""The bus over Redis Streams: the Bus port for roles that answer from other processes."""
