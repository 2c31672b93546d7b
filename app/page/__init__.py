"""The pages people look at. They know nothing but the public API and the live feed, as every other client."""
