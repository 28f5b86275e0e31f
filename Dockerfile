# docker build -t transgan . && docker run --rm -it -v "$PWD":/work transgan make repro
# With GPUs: docker run --gpus all ... ; the host needs the driver alone.
FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
# A folder that is mounted belongs to another user; without this git refuses it, and results name no revision.
RUN git config --system --add safe.directory '*'
COPY requirements.txt /tmp/
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt
# `make` takes this environment, which is newer than any requirements.txt that is mounted.
RUN printf '#!/bin/sh\nexec python -m pipeline.cli "$@"\n' > /opt/venv/bin/transgan && chmod +x /opt/venv/bin/transgan \
    && touch -d 2099-01-01 /opt/venv/.ready
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/work MAKEFLAGS="-- VENV=/opt/venv"
WORKDIR /work
CMD ["make", "help"]
