"""What goes on as time goes by: sessions behind the ports of a campaign."""
