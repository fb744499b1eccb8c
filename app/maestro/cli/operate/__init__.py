"""operate owns the commands that run and tend an installation: agents in processes of their own, doctor, clean."""
