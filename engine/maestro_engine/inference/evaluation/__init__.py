"""The judge of a campaign: the only room that holds the sealed part of the data."""
