"""The lab as a place to stay in (``make lab``): a page in the browser that shows it, strikes it and mends it."""
