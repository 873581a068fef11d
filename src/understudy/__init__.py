"""Understudy turns demonstrations into robot policies that people can trust."""

__version__ = "0.1.0"
