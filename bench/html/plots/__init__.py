"""One module for each kind of plot.

Each has a function from the report to `Panel`s, which the page sets in columns;
none where nothing was measured. Text that can be long stands in HTML around the drawing, where it
wraps.
"""
