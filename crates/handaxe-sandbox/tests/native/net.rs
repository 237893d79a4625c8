//! NET01 to NET03 and NET07: no road leads to the network. NET04 to NET06 are in `kern`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use handaxe_types::Layer;
use serde_json::{Value, json};

use crate::drill::Drill;
use crate::kern::with_ctypes;
use crate::support::{call, output, outside, probe, run, session_without};

fn table(value: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Somebody who listens on the host, on every kind of road.
struct Listener {
    hits: Arc<AtomicU32>,
    udp: UdpSocket,
    unix: [UnixListener; 2],
    input: Value,
    _dir: tempfile::TempDir,
}

impl Listener {
    fn new() -> Self {
        let hits = Arc::new(AtomicU32::new(0));
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let mut listeners = vec![tcp];
        // Not every machine has the newer protocol.
        listeners.extend(TcpListener::bind(("::1", port)));
        let six = listeners.len() == 2;
        for tcp in listeners {
            let counted = Arc::clone(&hits);
            std::thread::spawn(move || {
                for stream in tcp.incoming() {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let mut stream = stream.unwrap();
                    let mut request = [0; 1024];
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                    let _ = stream.read(&mut request);
                    let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhi");
                }
            });
        }
        let udp = UdpSocket::bind(("127.0.0.1", port)).unwrap();
        udp.set_nonblocking(true).unwrap();
        let name = format!("handaxe-test-{}", std::process::id());
        let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap());
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let path = dir.path().join("service.sock");
        let unix = [hidden.unwrap(), UnixListener::bind(&path).unwrap()];
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        for listener in &unix {
            listener.set_nonblocking(true).unwrap();
        }
        Self {
            hits,
            udp,
            unix,
            input: json!({"port": port, "abstract": name, "path": path, "six": six}),
            _dir: dir,
        }
    }

    /// Connections and datagrams since the last look.
    fn hits(&self) -> [usize; 3] {
        let mut datagram = [0; 64];
        let mut datagrams = 0;
        while self.udp.recv(&mut datagram).is_ok() {
            datagrams += 1;
        }
        let accepted = self
            .unix
            .iter()
            .filter(|unix| unix.accept().is_ok())
            .count();
        [
            self.hits.swap(0, Ordering::SeqCst) as usize,
            datagrams,
            accepted,
        ]
    }
}

#[test]
fn no_road_leads_to_the_network() {
    let drill = Drill::of(&["NET01", "NET02", "NET03", "NET07"]);
    let listener = Listener::new();
    let scratch = tempfile::tempdir().unwrap();
    let control = table(&outside("network", &listener.input, scratch.path()));
    let six = listener.input["six"] == json!(true);
    for road in [
        "fetch",
        "tcp",
        "udp",
        "unix",
        "unix_path",
        "query",
        "resolve",
        "resolv_conf",
    ] {
        drill.control(road, control[road] == "OK");
    }
    drill.control("tcp6", !six || control["tcp6"] == "OK");
    // What an allow-list would have to see through.
    for name in ["http 2130706433", "http 127.1", "http LOCALHOST"] {
        drill.control(name, control[name] == "OK");
    }
    let [connections, datagrams, accepted] = listener.hits();
    drill.control(
        "they arrive",
        connections >= 5 && datagrams == 2 && accepted == 2,
    );

    // With every layer, and then with the filter and Landlock gone: the namespace alone holds.
    let bare = session_without(&[Layer::Seccomp, Layer::Landlock]);
    for (session, full) in [(with_ctypes(), true), (bare, false)] {
        drill.attack(&session, |_| {
            let result = run(&session, &call(probe("network"), listener.input.clone()));
            let inside = table(output(&result));
            assert_eq!(inside.len(), control.len());
            for (road, said) in &inside {
                // Resolving `localhost` needs no packet: without the filter files would tell it.
                assert!(
                    said != "OK" || (road == "resolve" && !full),
                    "{road}: {inside:?}"
                );
            }
            assert_eq!(listener.hits(), [0, 0, 0]);
        });
    }
}
