"""Charts as inline SVG. Classes name what a mark is; the page's style sheet colours it, by day and by night."""
