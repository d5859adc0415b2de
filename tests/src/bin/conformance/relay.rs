use std::io::copy;
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};

use anyhow::Result;
use keygress_tests::attack::wire::Target;

/// Where it listens, at the port of the upstream: a client that is led here names the upstream as it is.
pub(super) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Takes connections as the upstream would, and brings each through a `CONNECT`: for clients that send no server name and know no proxy.
/// It goes on until the process ends.
pub(super) fn start(target: &Target) -> Result<()> {
    let listener = TcpListener::bind((ADDRESS, target.port))?;
    let target = target.clone();
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let target = target.clone();
            std::thread::spawn(move || joined(client, &target));
        }
    });
    Ok(())
}

/// Carries bytes both ways until both ends have ended; who breaks off ends the other side too.
fn joined(client: TcpStream, target: &Target) -> Result<()> {
    let (head, proxy) = target.connect(&target.authority())?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "CONNECT: {head}");
    for stream in [&client, &proxy] {
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
    }
    let (mut from_client, mut to_proxy) = (client.try_clone()?, proxy.try_clone()?);
    let (mut from_proxy, mut to_client) = (proxy, client);
    let there = std::thread::spawn(move || {
        let copied = copy(&mut from_client, &mut to_proxy);
        to_proxy.shutdown(if copied.is_ok() { Shutdown::Write } else { Shutdown::Both })
    });
    let _ended = copy(&mut from_proxy, &mut to_client);
    to_client.shutdown(Shutdown::Both)?;
    drop(there.join());
    Ok(())
}
