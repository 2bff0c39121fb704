# The parent's programs for pods: nitroseal (with its gateway) and vsock-proxy.
#
#   docker build -f deploy/kubernetes/parent.Dockerfile -t REGISTRY/nitroseal-parent:0.1.0 .
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev meson ninja-build pkg-config gettext \
    libssl-dev libuv1-dev libjansson-dev libsqlite3-dev libc-ares-dev libyaml-dev libcmocka-dev zlib1g-dev libarchive-dev
COPY . /src
RUN meson setup /build /src --buildtype=release && ninja -C /build src/bin/nitroseal/nitroseal src/bin/vsock-proxy/vsock-proxy

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libssl3 libuv1 libjansson4 libsqlite3-0 \
    libc-ares2 libyaml-0-2 zlib1g libarchive13 && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/src/bin/nitroseal/nitroseal /build/src/bin/vsock-proxy/vsock-proxy /usr/bin/
USER 65532
