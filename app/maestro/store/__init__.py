"""store owns everything that outlives a process: journal, results, model calls, gates, leases, and the Redis bus."""
