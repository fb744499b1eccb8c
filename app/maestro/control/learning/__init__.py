"""The learning part of a campaign: line-ups, batches, the live look at scores, patches judged, walk-forward."""
