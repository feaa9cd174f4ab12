"""The Serve application: ingress, recommender, generator, event store, clip cache and the storefront page."""
