"""report owns what a person opens when a campaign is over: summary.md and summary.html."""
