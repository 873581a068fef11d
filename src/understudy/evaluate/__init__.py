"""How good it is: measured, compared, filmed and written down."""
