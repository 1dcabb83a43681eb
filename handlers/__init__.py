"""What runs in Lambda: the steps of the two workflows, and what runs beside them."""

import gc

# Importing a function makes tens of thousands of objects, all of which stay. With Python's default of 700, it looks
# through them for garbage so often that this is a tenth of a cold start.
gc.set_threshold(100_000)
