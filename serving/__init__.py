"""The HTTP side: ingress, recommender and generator replicas, event store, clip cache, storefront."""
