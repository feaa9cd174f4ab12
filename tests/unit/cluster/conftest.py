import pytest

from cluster.manifests.description import ClusterDescription
from cluster.manifests.render import render


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return {f"{name}.yaml": text for name, text in render(ClusterDescription(gpus=2)).items()}
