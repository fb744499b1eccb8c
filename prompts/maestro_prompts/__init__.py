"""Prompt templates (Jinja2) and their rendering; knows nobody."""
