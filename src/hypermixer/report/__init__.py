"""A report as one self-contained HTML page, as Markdown and as JSON; it knows nothing of what was measured."""
