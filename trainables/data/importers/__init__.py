"""One module a source: photos, clips, events, KuaiRand, MovieLens, the sample shop."""
