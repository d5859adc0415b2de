# A static binary on an empty image. It runs as 65532 without any capability, and needs nothing to be writable.
#
#   docker build --tag keygress .
#   docker run --read-only --cap-drop ALL --volume "$PWD/policy:/etc/keygress:ro" keygress serve --policy /etc/keygress
FROM docker.io/library/rust:1.95-alpine AS build
RUN apk add --no-cache build-base cmake perl linux-headers
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package keygress \
    && cp target/release/keygress /keygress

# `docker build --target net --tag keygress-net .`: the init container that makes capture rules, which `nft` does.
FROM docker.io/library/alpine:3.22 AS net
RUN apk add --no-cache nftables
COPY --from=build --chmod=0555 /keygress /usr/bin/keygress
ENTRYPOINT ["/usr/bin/keygress"]

FROM scratch
# Root certificates for upstreams; without them the built-in ones are used.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chmod=0555 /keygress /keygress
USER 65532:65532
# Health and metrics, read only; a pod whose kubelet or Prometheus asks sets it to 0.0.0.0:8790.
ENV KEYGRESS_METRICS=127.0.0.1:8790
HEALTHCHECK --interval=10s --timeout=4s --start-period=5s CMD ["/keygress", "health"]
ENTRYPOINT ["/keygress"]
CMD ["--help"]
