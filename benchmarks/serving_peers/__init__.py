"""The same render behind other servers: what `benchmarks.serving` holds the product against. Each module listens on
127.0.0.1 at the port it is given, answers POST /v1/clips with MP4, and renders in two processes of one thread each.
"""
