"""Demonstrations by people: devices that are actors, and what they are shown."""
