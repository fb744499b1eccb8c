"""The prompts: Jinja2 templates, how they are rendered, what a blind prompt hides, what models may remember."""
