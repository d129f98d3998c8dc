//! The network of a run: none, or the host's where the spec gives it.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use agentd_schemas::launch::Network;
use agentd_tests::harness::skip;

use super::scene::{Scene, levels, rights};

#[test]
fn the_network_of_the_host_is_reached_where_it_is_given_and_nowhere_else() {
    if !Path::new("/bin/bash").exists() {
        return skip("to connect from a script needs bash");
    }
    for rights in rights() {
        for level in levels(rights) {
            for network in [Network::None, Network::Host] {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                let scene = Scene::new(rights);
                let script = format!(
                    "bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo connected; \
                     cat /etc/resolv.conf > /dev/null 2>&1 && echo resolver; cat /etc/hosts"
                );
                let mut spec = scene.script(level, &script);
                spec.network = network;
                let outcome = scene.run(&spec);
                let told = scene.stdout();
                let given = network == Network::Host;
                assert_eq!(told.contains("connected"), given, "{level:?} {network:?}: {told} {outcome:?}");
                let resolver = given && Path::new("/etc/resolv.conf").exists();
                assert_eq!(told.contains("resolver"), resolver, "{level:?} {network:?}: {told}");
                assert!(told.contains("localhost") || level < agentd_schemas::launch::Level::Strict, "{told}");
            }
        }
    }
}

#[test]
fn abstract_sockets_of_the_host_do_not_come_with_its_network() {
    let python = "/usr/bin/python3";
    if !Path::new(python).exists() {
        return skip("to connect to an abstract socket from a script needs /usr/bin/python3");
    }
    for rights in rights() {
        for level in levels(rights) {
            let scene = Scene::new(rights);
            let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&scene.mark).unwrap()).unwrap();
            let connect = "import socket,sys; socket.socket(socket.AF_UNIX).connect('\\0'+sys.argv[1])";
            let outside = scene.as_user(Path::new(python)).arg("-c").arg(connect).arg(&scene.mark).status().unwrap();
            assert!(outside.success(), "the control connects");
            let mut spec = scene.script(level, "true");
            spec.program = [python, "-c", connect, &scene.mark].map(ToOwned::to_owned).to_vec();
            spec.network = Network::Host;
            let outcome = scene.run(&spec);
            assert_eq!(outcome.ending, agentd_schemas::launch::Ending::Exited(1), "{level:?}: {outcome:?}");
        }
    }
}
