"""What no schema can say: whether the parts of manifests fit each other, this library and the code it serves."""
