# The image of Sluice. Every library comes from a lock with hashes.
#   docker build .                 scores with ONNX Runtime, without torch
#   docker build --target full .   scores checkpoints of transformers too
# BASE is any image with python3, its venv and pip; pin it by digest for a release.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS tools
COPY requirements/build.txt /requirements/
RUN python3 -m venv /tools \
    && /tools/bin/pip install --no-cache-dir --no-deps --require-hashes -r /requirements/build.txt

FROM tools AS wheel
WORKDIR /src
COPY LICENSE README.md pyproject.toml ./
COPY buffers buffers
COPY daemon daemon
COPY scoring scoring
RUN /tools/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

# Libraries and our own code are layers of their own: a new version of Sluice is a small download.
# Nothing of either can install anything: pip works on them from outside.
FROM tools AS libraries
COPY requirements/image.txt /requirements/
RUN python3 -m venv --without-pip /opt/libraries \
    && /tools/bin/pip --python /opt/libraries/bin/python install --no-cache-dir --no-deps \
        --only-binary=:all: --require-hashes -r /requirements/image.txt

FROM tools AS libraries-full
COPY requirements/full.txt /requirements/
RUN python3 -m venv --without-pip /opt/libraries \
    && /tools/bin/pip --python /opt/libraries/bin/python install --no-cache-dir --no-deps \
        --only-binary=:all: --require-hashes -r /requirements/full.txt

FROM libraries AS ours
COPY --from=wheel /wheels /wheels
COPY requirements/owned.py /requirements/
RUN /tools/bin/pip --python /opt/libraries/bin/python install --no-cache-dir --no-deps \
        --target /opt/sluice /wheels/*.whl \
    && PYTHONPATH=/opt/sluice /opt/libraries/bin/python /requirements/owned.py

FROM libraries-full AS ours-full
COPY --from=ours /opt/sluice /opt/sluice
COPY requirements/owned.py /requirements/
RUN PYTHONPATH=/opt/sluice /opt/libraries/bin/python /requirements/owned.py

# hadolint ignore=DL3006
FROM ${BASE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="Keeps the most valuable utterances of a stream, balanced and provable" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# a store on a volume starts with this owner; the root is meant to be read-only, all but /tmp
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/sluice
ENV PATH=/opt/sluice/bin:/opt/libraries/bin:${PATH} \
    PYTHONPATH=/opt/sluice \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    ORT_DISABLE_TELEMETRY=1 \
    SLUICE_CONFIG=/etc/sluice/sluice.yaml
WORKDIR /tmp
USER 10001:10001
EXPOSE 9464
ENTRYPOINT ["/opt/sluice/bin/sluice"]
CMD ["run"]

FROM runtime AS onnx
COPY --from=libraries /opt/libraries /opt/libraries
COPY --from=ours /opt/sluice /opt/sluice

FROM runtime AS full
COPY --from=ours-full /opt/libraries /opt/libraries
COPY --from=ours-full /opt/sluice /opt/sluice

# the one that is built unless another is named
FROM onnx AS image
