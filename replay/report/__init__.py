"""The report of a run, for people: one HTML file, and Markdown for a pull request."""
