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

FROM scratch
# Root certificates for upstreams; without them the built-in ones are used.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chmod=0555 /keygress /keygress
USER 65532:65532
ENTRYPOINT ["/keygress"]
CMD ["--help"]
