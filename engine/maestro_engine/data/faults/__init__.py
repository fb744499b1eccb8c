"""What bars can have wrong that no single value shows: their clock, their prices, their funding, their hours."""
