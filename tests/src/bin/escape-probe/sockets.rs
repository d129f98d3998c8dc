//! Sockets: reaching what listens on the host, and the families that speak to the kernel.

use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::time::Duration;

use crate::attempt::{Attempt, Row, contained, prepared, row, unavailable};
use crate::sys::{answer, owned};
use crate::target::{Target, need};

/// The table.
pub(crate) const ATTEMPTS: &[Row] = &[
    row("connect-tcp", "connect to a listener on the host's 127.0.0.1", connect_tcp),
    row("send-udp", "send to a socket on the host's 127.0.0.1", send_udp),
    row("listen-tcp", "listen on 0.0.0.0 in the host's network namespace", listen_tcp),
    row("connect-abstract", "connect to an abstract socket of the host", connect_abstract),
    row("connect-unix", "connect to a socket of the host by its path", connect_unix),
    row("socket-vsock", "make a socket to the hypervisor", |_| {
        family(libc::AF_VSOCK, libc::SOCK_STREAM, 0, "AF_VSOCK")
    }),
    row("socket-netlink", "make a socket to the kernel's routing", |_| {
        family(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE, "NETLINK")
    }),
    // The protocol 0 receives nothing.
    row("socket-packet", "make a socket for raw packets", |_| family(libc::AF_PACKET, libc::SOCK_RAW, 0, "PACKET")),
    row("socket-raw", "make a raw ICMP socket", |_| family(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP, "RAW")),
    row("socket-alg", "make a socket to the kernel's ciphers", |_| {
        family(libc::AF_ALG, libc::SOCK_SEQPACKET, 0, "ALG")
    }),
    row("socket-bluetooth", "make a Bluetooth socket", |_| {
        family(libc::AF_BLUETOOTH, libc::SOCK_SEQPACKET, 0, "L2CAP")
    }),
];

const MESSAGE: &[u8] = b"agentd-probe\n";
const WAIT: Duration = Duration::from_millis(500);

fn connect_tcp(target: &Target) -> Attempt {
    let port = *need(target.tcp.as_ref(), "--tcp")?;
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), WAIT)?;
    stream.write_all(MESSAGE)?;
    Ok("connected, and bytes were sent".to_owned())
}

fn send_udp(target: &Target) -> Attempt {
    let port = *need(target.udp.as_ref(), "--udp")?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.send(MESSAGE)?;
    prepared(socket.set_read_timeout(Some(WAIT)), "a limit of waiting")?;
    match socket.recv(&mut [0; 64]) {
        Ok(_) => Ok("it answered".to_owned()),
        // Where nobody is bound, the kernel answers at once that nobody is.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok("it was sent to somebody".to_owned()),
        Err(error) => Err(error.into()),
    }
}

/// A listener of our own is only a way out where the host's listeners are.
fn listen_tcp(target: &Target) -> Attempt {
    let host = *need(target.tcp.as_ref(), "--tcp")?;
    let port = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port();
    // Addresses and ports are hexadecimal; 0A is a socket that listens.
    let seen = fs::read_to_string("/proc/net/tcp").is_ok_and(|table| {
        table.lines().any(|line| line.contains(&format!(":{host:04X} ")) && line.contains(" 00000000:0000 0A "))
    });
    let reached = || TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, host)), WAIT).is_ok();
    if seen || reached() {
        Ok(format!("listened on {port}, beside the host's {host}"))
    } else {
        contained("listened in a network namespace without the host's listener")
    }
}

fn connect_abstract(target: &Target) -> Attempt {
    let name = need(target.abstract_name.as_ref(), "--abstract")?;
    let address = prepared(UnixAddr::from_abstract_name(name), "the name")?;
    UnixStream::connect_addr(&address)?.write_all(MESSAGE)?;
    Ok("connected, and bytes were sent".to_owned())
}

fn connect_unix(target: &Target) -> Attempt {
    // Nothing is sent: the real one would take it for a request.
    UnixStream::connect(need(target.unix.as_ref(), "--unix")?)?;
    Ok("connected".to_owned())
}

/// Making such a socket is enough: it opens a part of the kernel that no agent needs.
fn family(domain: i32, kind: i32, protocol: i32, known_as: &str) -> Attempt {
    // SAFETY: no memory is passed.
    match answer(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) }) {
        Ok(number) => {
            owned(number)?;
            Ok("it was made".to_owned())
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT)) => {
            // A filter may answer like a kernel that lacks the family. This list is the kernel's own.
            let protocols = fs::read_to_string("/proc/net/protocols").unwrap_or_default();
            if protocols.lines().any(|line| line.split_whitespace().next() == Some(known_as)) {
                contained(format!("{error}, although the kernel has it"))
            } else {
                unavailable(format!("{error}: not in this kernel"))
            }
        }
        Err(error) => Err(error.into()),
    }
}
