"""What a campaign leaves: its folder, its ledger of trials, its standings, its hash."""
