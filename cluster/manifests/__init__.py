"""What runs shopreel on a cluster: manifests rendered from one typed description, and checked without a cluster."""
