"""One module a kind of product: how it is built, and the designs on sale."""
