use std::net::SocketAddr;
use std::path::Path;

use aws_lc_rs::digest;

/// What a Java key store begins with, and its version.
const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;

/// The kind of an entry: a certificate that is trusted.
const TRUSTED: u32 = 2;

/// The password that Java has by default, for whoever looks into the store with `keytool`. It guards nothing: certificates are public.
const PASSWORD: &str = "changeit";

/// A Java key store (`JKS`) that trusts these certificates, DER: the one format that every Java reads without a word about passwords.
#[must_use]
pub fn trust_store(certificates: &[Vec<u8>]) -> Vec<u8> {
    let mut store = Vec::new();
    put(&mut store, MAGIC);
    put(&mut store, VERSION);
    put(&mut store, length(certificates));
    for (number, certificate) in certificates.iter().enumerate() {
        put(&mut store, TRUSTED);
        put_text(&mut store, &format!("keygress-{number}"));
        // When it was added, in milliseconds since 1970: nobody asks.
        store.extend_from_slice(&0_u64.to_be_bytes());
        put_text(&mut store, "X.509");
        put(&mut store, length(certificate));
        store.extend_from_slice(certificate);
    }
    let mut seal = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    PASSWORD.encode_utf16().for_each(|unit| seal.update(&unit.to_be_bytes()));
    seal.update(b"Mighty Aphrodite");
    seal.update(&store);
    store.extend_from_slice(seal.finish().as_ref());
    store
}

/// Options that lead Java through this listener, which needs no token (Java sends none for a tunnel), with this trust store.
#[must_use]
pub fn options(listener: SocketAddr, store: &Path, direct: &[String]) -> String {
    let (host, port) = (listener.ip(), listener.port());
    let proxies = ["http", "https"].map(|scheme| format!("-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port}")).join(" ");
    // Without it Java goes past the proxy to localhost.
    let direct = direct.join("|");
    format!("{proxies} -Dhttp.nonProxyHosts={direct} {}", trust(store))
}

/// Options by which Java uses this trust store.
#[must_use]
pub fn trust(store: &Path) -> String {
    format!("-Djavax.net.ssl.trustStore={} -Djavax.net.ssl.trustStoreType=JKS", store.display())
}

fn put(store: &mut Vec<u8>, number: u32) {
    store.extend_from_slice(&number.to_be_bytes());
}

fn put_text(store: &mut Vec<u8>, text: &str) {
    store.extend_from_slice(&u16::try_from(text.len()).unwrap_or_default().to_be_bytes());
    store.extend_from_slice(text.as_bytes());
}

fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_lead_through_the_listener_even_to_localhost() {
        let listener = "127.0.0.1:4000".parse().unwrap();
        assert_eq!(
            options(listener, Path::new("/tmp/k/trust.jks"), &[]),
            "-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=4000 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=4000 -Dhttp.nonProxyHosts= \
             -Djavax.net.ssl.trustStore=/tmp/k/trust.jks -Djavax.net.ssl.trustStoreType=JKS"
        );
        let direct = ["db.internal".to_owned(), "*.local".to_owned()];
        assert!(options(listener, Path::new("/t"), &direct).contains("-Dhttp.nonProxyHosts=db.internal|*.local "));
    }

    #[test]
    fn the_store_counts_its_certificates_and_is_sealed() {
        let store = trust_store(&[vec![1, 2, 3], vec![4]]);
        assert_eq!(store.get(..12).unwrap(), [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 2]);
        let without = trust_store(&[vec![1, 2, 3]]);
        assert_ne!(store.get(store.len() - 20..), without.get(without.len() - 20..));
    }
}
