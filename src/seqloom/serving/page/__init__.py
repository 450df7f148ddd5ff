"""The page of `seqloom serve`: one HTML file, one style sheet, one script, and the routes that they call."""
