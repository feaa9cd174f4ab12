"""What learns: data, the generator, the recommender and their metrics."""
