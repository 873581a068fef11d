"""Robot arms in physics engines: their geometry, how they move, how they are seen."""
