"""Routes of jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Response
from fastapi import Path as PathParameter

from serving.answers import responses
from serving.jobs import Jobs
from serving.messages import JobOut, JobRequest

JobId = Annotated[str, PathParameter(min_length=1, max_length=64)]


def add(app: FastAPI, jobs: Jobs) -> None:
    """`POST /v1/jobs`, `GET` and `DELETE /v1/jobs/{job_id}`."""

    @app.post("/v1/jobs", tags=["jobs"], status_code=202, responses=responses(400, 404, 429, 507))
    async def start(request: JobRequest, response: Response) -> JobOut:
        """Render many clips in the background, behind everything someone waits for.

        All clips are checked first; the job's address is in `location`. It outlives the process it runs in.
        """
        job = await jobs.start(request.clips)
        response.headers["location"] = f"/v1/jobs/{job.id}"
        return job

    @app.get("/v1/jobs/{job_id}", tags=["jobs"], responses=responses(404))
    async def status(job_id: JobId) -> JobOut:
        """How far a job is, and what became of each clip so far."""
        return await jobs.status(job_id)

    @app.delete("/v1/jobs/{job_id}", tags=["jobs"], responses=responses(404))
    async def cancel(job_id: JobId) -> JobOut:
        """End a job. Clips that are rendered already stay in the cache; a job that has ended stays as it is."""
        return await jobs.cancel(job_id)
