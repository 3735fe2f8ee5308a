# syntax=docker/dockerfile:1
# The edge in workerd. docker build -f deploy/edge.Dockerfile --build-arg NETWORK=10.20.0.0/16 -t coditect-edge .
FROM node:24-bookworm-slim AS build
ARG NETWORK=
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev
COPY tsconfig.json tsconfig.edge.json wrangler.toml ./
COPY shared shared
COPY edge edge
COPY dev dev
COPY deploy/workerd deploy/workerd
RUN node deploy/workerd/build.ts /edge --objects /objects ${NETWORK:+--network "$NETWORK"} \
  && cp "$(node -p "require('workerd').default")" /workerd && mkdir /objects && chown 65532:65532 /objects

FROM debian:bookworm-slim
# workerd does not start without the system's certificates, which it checks regions and tenants' issuers by.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /workerd /usr/local/bin/workerd
COPY --from=build /edge /edge
COPY --from=build --chown=65532:65532 /objects /objects
USER 65532:65532
VOLUME /objects
EXPOSE 8787
# It takes seconds to listen, and whoever waits for it (compose) is not to ask before.
HEALTHCHECK --interval=10s --timeout=2s --start-period=20s \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8787 && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && grep -q '\"ok\"' <&3"]
CMD ["workerd", "serve", "/edge/workerd.capnp", "--socket-addr", "http=0.0.0.0:8787"]
