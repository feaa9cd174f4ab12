# The image of every pod: heads, workers, jobs. Build and tag it as the manifests expect it:
#   docker build --tag registry.example.com/shopreel:0.1.0-ray2.60.0 .
# `shopreel manifests check Dockerfile` compares its versions with those of the library and of constraints.txt.
FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="shopreel" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      io.ray.version="2.60.0"

# libgomp1: LightGBM and implicit. wget: KubeRay's health probes. openssh-client and rsync: the head of `ray up` starts
# its workers with them.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 openssh-client rsync wget \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home --shell /bin/bash ray

# An index of one's own, or of torch's smaller builds without CUDA, is given by --build-arg.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

# Dependencies first, so that a change of the code costs one small layer.
WORKDIR /opt/shopreel
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN pip install --constraint constraints.txt torch==2.13.0
RUN mkdir cluster serving trainables tuning \
 && pip install --constraint constraints.txt ".[postgresql,s3,onnx,safety,c2pa,otel]" \
 && pip uninstall --yes shopreel
COPY cluster cluster
COPY serving serving
COPY trainables trainables
COPY tuning tuning
RUN pip install --no-deps .

# A number, not a name: Kubernetes verifies runAsNonRoot by it.
USER 1000
WORKDIR /home/ray
CMD ["shopreel", "--help"]
