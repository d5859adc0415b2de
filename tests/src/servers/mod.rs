//! Real servers on ephemeral ports of loopback. Each ends with its handle.

/// A TLS upstream in this process, HTTP/1.1 and HTTP/2, that remembers what it saw.
pub mod echo;

/// A TLS upstream that repeats the credential in every form and coding.
pub mod parrot;

/// A TLS upstream that answers as a test says, byte for byte.
pub mod scripted;

/// nginx with TLS; it checks the credential itself.
pub mod nginx;

/// The OpenID-certified token issuer on Node.
pub mod issuer;

/// A resource server that takes bound tokens alone, on Node.
pub mod resource;

/// GitHub, as a package has it.
pub mod github;

/// A git repository over HTTPS: nginx, fcgiwrap and git's own backend.
pub mod git;

/// A gRPC server in Python.
pub mod grpc;

/// AWS as moto plays it, with signatures verified.
pub mod moto;

/// OpenBao itself.
pub mod openbao;

/// A collector of OTLP.
pub mod collector;

/// Redis, whose users OpenBao makes.
pub mod redis;
