"""Doubles of exchanges on loopback, for tests, demonstrations and trials."""
