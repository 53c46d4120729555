# The server in a container: `docker build -t cloakroom .`, then
# `docker run -p 8080:8080 -v "$PWD/cloakroom.yaml:/etc/cloakroom.yaml:ro" cloakroom serve --config /etc/cloakroom.yaml --listen 0.0.0.0:8080 …`
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package cloakroom-cli

# The C library and root certificates, and nothing else: no shell, no package manager, not root.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/cloakroom /usr/local/bin/cloakroom
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/cloakroom"]
CMD ["--help"]
