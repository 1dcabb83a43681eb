"""The report of a run, for people and auditors: its facts, and the page that shows them. Pure."""
