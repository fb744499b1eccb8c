"""live owns what every live feed needs whatever the exchange: reconnecting, watching, REST, time sync."""
