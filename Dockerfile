# The training container. `make image` builds it: the wheelhouse it installs from comes from the client, so that the
# build asks no registry and gives the same files twice. Limits and shared memory are docker run's to set
# (python3 -m infra.container); the figures here are held to deploy.toml by tests/image/test_one_truth.py.

# As an argument: an engine that reaches no registry has a base image of its own, without a digest.
ARG BASE_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS dependencies
WORKDIR /build
COPY docker/requirements.lock ./
# pip stays outside of what is copied on. Compiled files carry a hash and no time, or two builds would differ (-f: the
# interpreter has written one itself, with a time); strings are hashed with a seed, or sets in them would. What is of
# no use here goes: Java, headers, torch's own tests.
RUN --mount=type=bind,source=build/wheelhouse,target=/wheelhouse \
    python3 -m venv /build/tools && python3 -m venv --without-pip /opt/redox/venv && \
    /build/tools/bin/pip --python /opt/redox/venv/bin/python install --quiet --disable-pip-version-check \
        --no-index --find-links /wheelhouse --no-deps --no-compile --no-cache-dir -r requirements.lock && \
    rm -rf /opt/redox/venv/lib/python3*/site-packages/ray/jars \
        /opt/redox/venv/lib/python3*/site-packages/torch/include \
        /opt/redox/venv/lib/python3*/site-packages/torch/test && \
    PYTHONHASHSEED=0 /opt/redox/venv/bin/python -m compileall -q -f --invalidation-mode unchecked-hash \
        -x torch/testing/_internal /opt/redox/venv/lib

FROM dependencies AS app
COPY app /opt/redox/app
RUN PYTHONHASHSEED=0 /opt/redox/venv/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /opt/redox/app

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
# The account's day of creation must not be the day of the build. Whoever runs the container as another user can
# write the folders of /data, too.
RUN if ! command -v tini >/dev/null; then \
        apt-get update && apt-get install -y --no-install-recommends tini=0.19.0-* && \
        rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/ldconfig/aux-cache; \
    fi && \
    export SOURCE_DATE_EPOCH=1767225600 && \
    groupadd --gid 10001 redox && \
    useradd --uid 10001 --gid redox --no-log-init --no-create-home --home-dir /tmp --shell /bin/bash redox && \
    install -d -m 1777 /data /data/experiments /data/spill

ENV PATH=/opt/redox/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/redox/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    USER=redox \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/cache/matplotlib \
    OMP_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    NUMEXPR_NUM_THREADS=1 \
    RAY_worker_num_grpc_internal_threads=1 \
    RAY_core_worker_num_server_call_thread=1 \
    RAY_prestart_worker_first_driver=0 \
    RAY_object_spilling_threshold=0.8 \
    RAY_object_spilling_directory=/data/spill \
    RAY_memory_monitor_refresh_ms=0 \
    RAY_USAGE_STATS_ENABLED=0 \
    REDOX_EXPERIMENTS=/data/experiments \
    REDOX_NOFILE=1048576 \
    REDOX_NPROC=65536

COPY --from=dependencies /opt/redox/venv /opt/redox/venv
COPY docker/entrypoint.sh docker/healthcheck.sh /
COPY docker/redox /usr/local/bin/
COPY --from=app /opt/redox/app /opt/redox/app

ARG COMMIT=unknown
ARG COMMIT_TIME=0
ENV REDOX_COMMIT=${COMMIT} REDOX_COMMIT_TIME=${COMMIT_TIME}
LABEL org.opencontainers.image.title=redox_balancer \
      org.opencontainers.image.description="Trains policies that design enzyme constructs restoring NAD+/NADH balance" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.revision=${COMMIT}

USER 10001:10001
WORKDIR /data
HEALTHCHECK --interval=30s --timeout=10s --start-period=180s --retries=3 CMD ["/healthcheck.sh"]
ENTRYPOINT ["tini", "--", "/entrypoint.sh"]
CMD ["train"]
