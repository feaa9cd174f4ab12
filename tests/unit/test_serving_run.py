"""Messages of a deployment that does not come up."""

from __future__ import annotations

from serving.run import _cause

MESSAGE = """The deployment failed to start 3 times in a row. This may be due to a problem with its constructor. Error:
\x1b[36mray::ServeReplica:shopreel:generator.initialize_and_get_metadata()\x1b[39m (pid=1, ip=127.0.0.1)
  File "/x/torch/nn/modules/module.py", line 2629, in load_state_dict
    raise RuntimeError(
RuntimeError: Error(s) in loading state_dict for RestyleNetwork:
	size mismatch for head.bias: copying a param with shape torch.Size([36]).

The above exception was the direct cause of the following exception:

  File "/x/trainables/generator/restyler.py", line 42, in from_bundle
    raise InputError(f"bundle {folder}: weights and config do not fit together: {error}") from error
cluster.errors.InputError: bundle /b/generator/1: weights and config do not fit together: Error(s) in loading
	size mismatch for head.bias: copying a param with shape torch.Size([36])."""


def test_cause_is_the_last_error_of_the_replica_without_frames() -> None:
    assert _cause(MESSAGE) == (
        "cluster.errors.InputError: bundle /b/generator/1: weights and config do not fit together: Error(s) in loading"
    )


def test_message_without_a_traceback_is_kept() -> None:
    assert _cause(" no node has a GPU \n") == "no node has a GPU"
