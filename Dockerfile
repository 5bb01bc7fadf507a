# syntax=docker/dockerfile:1
# Not built where it was written (no Docker engine there): tests/test_compose.py parses it and checks it against the
# repository. `docker build -t shadow-replay .`
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
WORKDIR /src
# The locked set first: it changes less often than the code.
COPY locks/image.txt locks/image.txt
RUN /venv/bin/pip install --require-hashes -r locks/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY replay replay
COPY consumers consumers
COPY comparators comparators
RUN /venv/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A named volume takes its owner from the directory it is first mounted on.
RUN useradd --system --uid 10001 --create-home replay && install -d -o replay -g replay /state
COPY --from=build /venv /venv
USER replay
WORKDIR /state
ENTRYPOINT ["shadow-replay"]
