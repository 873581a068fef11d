"""Building blocks of networks that know nothing of robots."""
