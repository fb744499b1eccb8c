"""Trading core: account, venue, risk; one instrument or many, bars, ticks or books."""
